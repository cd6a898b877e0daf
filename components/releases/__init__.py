"""The releases of a model: versioned directories that TensorFlow Serving can follow.

Free of TensorFlow and TFX, for tools that must start fast.
"""
