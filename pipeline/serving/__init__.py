"""Serves the newest release: a page to draw digits on, and TensorFlow Serving's REST contract."""
