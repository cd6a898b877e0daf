"""The two ways in which the pipeline says no: to its data, and to its model.

Components raise these; the command line turns them into exit statuses.
"""


class DataRejectedError(Exception):
    """The data can't be read, or does not satisfy the reviewed schema."""


class ModelRejectedError(Exception):
    """The model did not pass its gate, so that nothing may be pushed."""
