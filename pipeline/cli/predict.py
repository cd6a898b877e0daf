"""`mnist-pipeline predict`: classifies pictures with the live release."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.common.loading import collection_paused
from models.definition import DATASET
from pipeline.cli.console import make_console, spinner
from pipeline.cli.options import directory_option

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from models.pictures import Prepared
    from pipeline.serving.served_model import ServedModel

_STDIN = "-"
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
"""Environment variables that silence TensorFlow's log, such as warnings about a missing GPU."""


@click.command(epilog=f"Images of {DATASET.title} look like this: {DATASET.picture_form}.")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@directory_option("serving_dir", "Directory of the releases.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a JSON array with one object per picture. An unreadable picture has `error`.",
)
def predict(images: tuple[str, ...], serving_dir: Path, as_json: bool) -> None:
    """Classifies each IMAGE with the live release.

    A picture that does not clearly show one class is declined, and the reason is printed instead of
    a class. With --json, `declined` is the reason or null, and the classes are the model's best
    guess.

    Supports common image formats of any size. Use - to read a picture from standard input. If the
    release's data set has a picture_preprocessing, it converts any picture to the form of the data
    set's images. Otherwise, pictures are only resized and padded, and must already have this form.

    \b
    Exit status:
      0  all pictures were read
      1  some pictures are unreadable (the rest are classified), or there is no
         usable model
      2  usage error
    """  # noqa: D301 - click interprets the escaped \b
    from components.releases.manifest import ManifestError
    from models.pictures import PredictionError
    from pipeline.serving.served_model import ServedModelError

    try:
        with spinner("Loading the model"):
            predictions, errors, noun = _classify(serving_dir / DATASET.name, images)
    except (ServedModelError, ManifestError, PredictionError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        rows = [predictions.get(name) or {"image": name, "error": errors[name]} for name in images]
        click.echo(json.dumps(rows, indent=2))
    elif predictions:
        _print(predictions.values(), noun)
    for name, reason in errors.items():
        click.echo(f"Error: {name}: {reason}", err=True)
    sys.exit(1 if errors else 0)


def _classify(
    model_dir: Path, names: Iterable[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str], str]:
    """Returns predictions by name, errors by name, and the term for a class."""
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with collection_paused():  # TensorFlow is imported with the model.
            model = _load(model_dir)
        prepared, errors = _read_all(names, model)
        if not prepared:
            return {}, errors, model.data.noun
        found = model.classify([*prepared.values()])
    rows = zip(prepared, found.probabilities, found.declined, strict=True)
    predictions = {
        name: _prediction(name, probabilities, declined, model.data.class_names)
        for name, probabilities, declined in rows
    }
    return predictions, errors, model.data.noun


def _load(model_dir: Path) -> ServedModel:
    from components.releases.store import ReleaseStore
    from pipeline.serving.served_model import ServedModel, live_release, native_messages_hidden

    path = live_release(ReleaseStore(model_dir))
    with native_messages_hidden():
        return ServedModel.load(path)


def _read_all(
    names: Iterable[str], model: ServedModel
) -> tuple[dict[str, Prepared], dict[str, str]]:
    """Returns prepared pictures by name, and errors by name."""
    from models.pictures import PictureError, open_picture

    images: dict[str, Prepared] = {}
    errors: dict[str, str] = {}
    for name in names:
        try:
            images[name] = model.prepare(open_picture(_read(name)))
        except OSError as error:  # noqa: PERF203 - the other pictures are still classified
            errors[name] = f"can't be read: {error.strerror or error}"
        except PictureError as error:
            errors[name] = str(error)
    return images, errors


def _read(name: str) -> bytes:
    """Reads one byte more than the size limit, which is enough to reject a larger file."""
    from models.pictures import MAX_BYTES

    if name == _STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _prediction(
    name: str,
    probabilities: npt.NDArray[np.float32],
    declined: str,
    class_names: tuple[str, ...],
) -> dict[str, Any]:
    """The object that --json prints."""
    second, first = (int(label) for label in probabilities.argsort(kind="stable")[-2:])
    return {
        "image": name,
        "label": first,
        "class": class_names[first],
        "confidence": float(probabilities[first]),
        "second_label": second,
        "second_class": class_names[second],
        "second_confidence": float(probabilities[second]),
        "declined": declined or None,
    }


def _print(predictions: Iterable[dict[str, Any]], noun: str) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("image", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("confidence", justify="right", no_wrap=True)
    table.add_column("second class", overflow="fold")
    for found in predictions:
        if found["declined"]:
            table.add_row(found["image"], f"not a clear {noun}: {found['declined']}")
            continue
        table.add_row(
            found["image"],
            found["class"],
            f"{found['confidence']:.1%}",
            f"{found['second_class']} ({found['second_confidence']:.1%})",
        )
    make_console(sys.stdout).print(table)
