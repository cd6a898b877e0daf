"""Pushes a blessed model atomically."""
