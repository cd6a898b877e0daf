"""Where an artifact really is, when what a component is given is a local copy of it."""

ORIGIN_URI = "origin_uri"
"""Custom property of an input artifact: its URI in the object store; absent if there is no copy."""
