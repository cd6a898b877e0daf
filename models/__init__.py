"""The model: its features, preprocessing, architecture, training and signatures."""
