"""Runs the pipeline on this machine and reads the results of runs from ML Metadata."""
