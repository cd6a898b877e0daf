"""Small models to release, and their manifests."""

from support.release_fixtures import describe, make_model

__all__ = ["describe", "make_model"]
