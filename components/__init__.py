"""Custom TFX components, used where the standard ones fall short."""
