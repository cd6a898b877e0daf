"""TFX's Trainer and Evaluator, which verify the examples that they read."""
