"""Compiles the pipeline for Kubeflow Pipelines, submits it, and runs its tasks in containers.

The import name is `mnist_kubeflow`, because the name `kubeflow` belongs to a project on PyPI.
"""
