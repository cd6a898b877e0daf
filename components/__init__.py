"""The TFX components that this project adds where the standard ones fall short."""
