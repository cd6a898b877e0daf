"""Errors that reject the data or the model.

Components raise them, and the command line maps them to exit statuses.
"""


class DataRejectedError(Exception):
    """The data can't be read, doesn't satisfy the reviewed schema, or changed after its check."""


class ModelRejectedError(Exception):
    """The model failed its gate, can't be run or was rolled back. Nothing was pushed."""


def describe_os_error(error: OSError) -> str:
    """Describes the error without its number, such as "a/b.yaml: No such file or directory"."""
    reason = error.strerror or str(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"
