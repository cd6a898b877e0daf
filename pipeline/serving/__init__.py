"""Serves the live release: a page, and TensorFlow Serving's REST and gRPC APIs."""
