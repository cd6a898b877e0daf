"""Selects the baseline: the live model, which a candidate would replace.

`selection` makes the choice, `driver` makes it before TFX looks for a cached result, and `executor`
copies the selected model.
"""
