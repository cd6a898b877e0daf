"""Compiles the pipeline to YAML for Kubeflow Pipelines and Vertex AI."""
