"""Runs the pipeline on this machine, and reads from ML Metadata how runs went."""
