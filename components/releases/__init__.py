"""Releases of a model: versioned directories in the layout of TensorFlow Serving.

The entry point is `store.ReleaseStore`. This package imports neither TensorFlow nor TFX, so that
command-line tools start fast.
"""
