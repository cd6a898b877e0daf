"""`mnist-pipeline predict`: asks the served model about pictures."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import make_console
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MODEL_NAME = "mnist"
_STDIN = "-"
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
"""So that TensorFlow's own log, such as on a missing GPU, does not hide the answers."""


@dataclass(frozen=True)
class Prediction:
    """What the model makes of a picture.

    Attributes:
      image: the file, as it was named.
      digit: the likeliest.
      confidence: its probability, 0 to 1.
      second_digit: the second likeliest.
      second_confidence: likewise.
    """

    image: str
    digit: int
    confidence: float
    second_digit: int
    second_confidence: float


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--serving-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Settings.model_fields["serving_dir"].default,
    show_default=True,
    help="Where approved models are pushed; the newest is asked.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a JSON array: an object for each picture, with `error` for one that can't be read.",
)
def predict(images: tuple[str, ...], serving_dir: Path, as_json: bool) -> None:
    """Says which digit each IMAGE shows, how sure the model is, and its second guess.

    Any size, colours, dark on light or light on dark; - reads one from standard input. A picture
    should hold one digit on an even background.

    \b
    Exit status:
      0  all pictures were read
      1  some could not be (the others are answered all the same), or there is no model
      2  wrong usage
    """  # noqa: D301 - click wants the character
    from pipeline.serving.served_model import ServedModelError

    digits, errors = _read_all(images)
    try:
        predictions = _predict(serving_dir / MODEL_NAME, digits)
    except ServedModelError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(_records(images, predictions, errors), indent=2))
    elif predictions:
        _print(predictions.values())
    for name, reason in errors.items():
        click.echo(f"Error: {name}: {reason}", err=True)
    sys.exit(1 if errors else 0)


def _read_all(
    names: Iterable[str],
) -> tuple[dict[str, npt.NDArray[np.uint8]], dict[str, str]]:
    """Pictures in MNIST's form, and why others have none, by name."""
    digits: dict[str, npt.NDArray[np.uint8]] = {}
    errors: dict[str, str] = {}
    for name in names:
        digit = _read_digit(name)
        if isinstance(digit, str):
            errors[name] = digit
        else:
            digits[name] = digit
    return digits, errors


def _read_digit(name: str) -> npt.NDArray[np.uint8] | str:
    """A picture in MNIST's form, or why it has none."""
    from models.digits.framing import DigitImageError, open_image, to_mnist

    try:
        return to_mnist(open_image(_read(name)))
    except OSError as error:
        return f"can't be read: {error.strerror or error}"
    except DigitImageError as error:
        return str(error)


def _read(name: str) -> bytes:
    """At most a byte more than a picture may have: what is too long need not be read whole."""
    from models.digits.framing import MAX_BYTES

    if name == _STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _predict(model_dir: Path, digits: dict[str, npt.NDArray[np.uint8]]) -> dict[str, Prediction]:
    from pipeline.serving.served_model import ServedModel, native_messages_hidden, served_release

    path = served_release(model_dir)
    if not digits:
        return {}
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    import numpy as np

    with warnings.catch_warnings(), native_messages_hidden():
        warnings.simplefilter("ignore")
        probabilities = ServedModel.load(path).predict(np.stack([*digits.values()]))
    return {name: _prediction(name, row) for name, row in zip(digits, probabilities, strict=True)}


def _prediction(name: str, probabilities: npt.NDArray[np.float32]) -> Prediction:
    second, first = (int(digit) for digit in probabilities.argsort(kind="stable")[-2:])
    return Prediction(
        name, first, float(probabilities[first]), second, float(probabilities[second])
    )


def _records(
    names: Iterable[str], predictions: dict[str, Prediction], errors: dict[str, str]
) -> list[dict[str, Any]]:
    return [
        {"image": name, "error": errors[name]} if name in errors else asdict(predictions[name])
        for name in names
    ]


def _print(predictions: Iterable[Prediction]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("image", overflow="fold")
    for column in ("digit", "confidence", "second guess"):
        table.add_column(column, justify="right", no_wrap=True)
    for answer in predictions:
        table.add_row(
            answer.image,
            str(answer.digit),
            f"{answer.confidence:.1%}",
            f"{answer.second_digit} ({answer.second_confidence:.1%})",
        )
    make_console(sys.stdout).print(table)
