"""Decides, from the Evaluator's metrics, whether a model may be pushed.

`rules` holds the decision, free of TensorFlow and TFX; `evaluation` reads what the rules need from
TFMA's results, and `eval_config` asks TFMA for it; `component` and `executor` are the stage.
"""
