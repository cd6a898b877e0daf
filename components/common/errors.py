"""Errors that reject the data or the model.

Components raise them, and the command line maps them to exit statuses.
"""


class DataRejectedError(Exception):
    """The data can't be read or doesn't satisfy the reviewed schema."""


class ModelRejectedError(Exception):
    """The model did not pass its gate, so that nothing may be pushed."""
