"""Puts an approved model where TensorFlow Serving finds it, whole or not at all.

`versions`, `manifest` and `history` read what is there, `release` and `rollback` write it, all
without TensorFlow and TFX, for tools that must start fast; `component` and `executor` are the
stage.
"""
