"""Serves the live release on a web page and over TensorFlow Serving's REST and gRPC APIs."""
