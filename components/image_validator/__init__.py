"""ImageValidator: compares images with the reviewed reference, and the splits with each other."""
