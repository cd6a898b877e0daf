"""Custom TFX components, for requirements that the standard components don't meet."""
