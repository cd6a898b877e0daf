"""What is about MNIST and handwritten digits only. Delete it in a fork for other data."""
