"""The fixture `make_model`, which creates small models to release."""

from support.release_fixtures import make_model

__all__ = ["make_model"]
