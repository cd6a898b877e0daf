"""The model: features, preprocessing, architecture, training and signatures."""
