"""Submits a compiled pipeline to Kubeflow Pipelines and follows its run."""
