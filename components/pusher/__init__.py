"""Puts an approved model where TensorFlow Serving finds it, whole or not at all.

`versions` and `manifest` read what is there, without TensorFlow and TFX, for tools that must start
fast; `release` writes it; `component` and `executor` are the stage.
"""
