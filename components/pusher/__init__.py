"""Pushes a blessed model, completely or not at all."""
