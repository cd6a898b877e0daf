"""Compiles the pipeline for Kubeflow Pipelines, submits it, and runs its tasks in containers.

The import name is `mnist_kubeflow`, because a PyPI project uses the name `kubeflow`.
"""
