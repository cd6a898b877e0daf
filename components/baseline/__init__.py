"""Selects the baseline: the model that a candidate is compared with.

Local runs use `resolver`. Kubeflow Pipelines doesn't support TFX Resolvers, so runs there use
`component` and `executor`.
"""
