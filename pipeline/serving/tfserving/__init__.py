"""TensorFlow Serving's REST contract: https://www.tensorflow.org/tfx/serving/api_rest."""
