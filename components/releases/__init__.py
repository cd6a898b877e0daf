"""The releases of a model: versioned directories that TensorFlow Serving can follow.

`store.ReleaseStore` is the way in. Free of TensorFlow and TFX, for tools that must start fast.
"""
