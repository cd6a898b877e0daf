"""Compiles the pipeline for Kubeflow Pipelines, submits it, and runs its tasks in containers.

Imported as `mnist_kubeflow`, because `kubeflow` is another project's package.
"""
