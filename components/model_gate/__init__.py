"""Decides from the Evaluator's metrics whether a model may be pushed.

`rules` makes the decision, without TensorFlow and TFX. `eval_config` configures TFMA's metrics, and
`evaluation` reads them. `component` and `executor` are the TFX component.
"""
