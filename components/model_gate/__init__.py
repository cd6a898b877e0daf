"""Decides whether a model may be pushed, based on the Evaluator's metrics and its own measurements.

`rules` makes the decision and imports neither TensorFlow nor TFX. `eval_config` configures TFMA's
metrics, and `evaluation` reads them. `probe` inspects and runs the model in a new process, and
`measuring` turns its output into a `behavior.Behavior`. `component` and `executor` implement the
TFX component.
"""
