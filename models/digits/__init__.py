"""Code specific to MNIST's handwritten digits. Forks for other data can delete this package."""
