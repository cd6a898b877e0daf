"""Decides whether a model may be pushed, based on the Evaluator's metrics.

`rules` makes the decision and imports neither TensorFlow nor TFX. `eval_config` configures TFMA's
metrics, and `evaluation` reads them. `component` and `executor` implement the TFX component.
"""
