"""Runs the pipeline on Kubeflow Pipelines; imported as `mnist_kubeflow`."""
