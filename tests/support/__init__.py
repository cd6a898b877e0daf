"""Test helpers shared by several folders."""
