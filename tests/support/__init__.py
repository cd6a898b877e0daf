"""Helpers of the tests, for more than one of their folders."""
