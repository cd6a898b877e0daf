"""Finds the baseline: the model that a candidate is compared with.

`resolver` is for local runs; `component` and `executor` are for Kubeflow Pipelines, which has no
TFX Resolver.
"""
