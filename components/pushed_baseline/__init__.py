"""Finds the pushed model that a candidate is compared with, where there is no TFX Resolver."""
