"""Example images, and small prepared TFDS data sets for the data definition.

TFDS's own writer rejects the invalid data that negative tests need: labels out of range, undeclared
shapes and wrong counts.

Tests of code that works with any data set use `synthetic_examples`, so that they also pass in a
fork:

    train, test = synthetic_examples(60), synthetic_examples(20, seed=1)
    write_tfds_dataset(tmp_path, train, test)  # Then set data_dir or TFDS_DATA_DIR to tmp_path.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.definition import DATASET
from models.features import CLASS_NAMES, IMAGE_SHAPE, NUM_CLASSES

if TYPE_CHECKING:
    from components.image_validator.reference import Reference

Examples = tuple[np.ndarray, np.ndarray]
"""uint8 images of shape (n, height, width, channels) and int64 labels of shape (n,)."""

_GRID = 4


def synthetic_examples(per_class: int, seed: int = 0) -> Examples:
    """Draws images that the network of `models.architectures` can learn in two epochs.

    With at least 50 images of each class and a batch size of 32, its accuracy is then above 95%.

    Each class has its own pattern of bright cells on a dark background, with a different pattern in
    each channel. An empty border takes up a seventh of the image on each side. Pixel values vary
    randomly. The images satisfy the reviewed schema of MNIST, and `models.digits.framing.to_mnist`
    does not change them. Patterns depend only on the label, so images with `seed=1` can serve as a
    test set for images with `seed=0`.

    Args:
      per_class: number of images of each class.
      seed: seed of the pixel values.

    Returns:
      uint8 images of shape (NUM_CLASSES * per_class, *IMAGE_SHAPE) and int64 labels in the order
      0, 1, …, 0, 1, …
    """
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(NUM_CLASSES, dtype=np.int64), per_class)
    height, width, _ = IMAGE_SHAPE
    top, left = height // 7, width // 7
    lit = _patterns(height - 2 * top, width - 2 * left)[labels]
    images = np.zeros((len(labels), *IMAGE_SHAPE), np.uint8)
    images[:, top : height - top, left : width - left] = np.where(
        lit, rng.integers(192, 256, lit.shape), rng.integers(1, 48, lit.shape)
    )
    return images, labels


@functools.lru_cache(maxsize=1)
def _patterns(height: int, width: int) -> np.ndarray:
    """Computes a mask of bright pixels: bool of shape (NUM_CLASSES, height, width, channels).

    The mask is point symmetric, so that the center of mass is in the center, as in MNIST.
    """
    shape = (NUM_CLASSES, IMAGE_SHAPE[2], _GRID**2)
    codes = _distinct_codes(NUM_CLASSES * IMAGE_SHAPE[2], _GRID**2 // 2)
    lit = np.concatenate([codes, codes[:, ::-1]], axis=1).reshape(shape)
    rows, columns = (np.arange(side) * _GRID // side for side in (height, width))
    return np.moveaxis(lit[..., rows[:, np.newaxis] * _GRID + columns], 1, -1)


def _distinct_codes(count: int, bits: int) -> np.ndarray:
    """Selects codes with 25% to 75% ones greedily, maximizing their Hamming distances.

    If there are fewer codes than `count`, they repeat.

    Returns:
      bool of shape (count, bits).
    """
    every = np.array(list(itertools.product([False, True], repeat=bits)))
    every = every[np.abs(every.sum(axis=1) - bits / 2) <= bits / 4]
    chosen = [0]
    distances = [(every != every[0]).sum(axis=1)]
    while len(chosen) < min(count, len(every)):
        nearest, total = np.min(distances, axis=0), np.sum(distances, axis=0)
        chosen.append(int(np.lexsort((total, nearest))[-1]))
        distances.append((every != every[chosen[-1]]).sum(axis=1))
    return every[np.resize(chosen, count)]


def synthetic_schema(reference: Reference | None = None) -> str:
    """Returns the proposed schema for synthetic examples, marked as reviewed.

    Args:
      reference: None selects that of splits made of 60 and 20 images of each class.
    """
    from components.data_gate.schema import Measured, propose_schema
    from models.image_statistics import describe_images

    statistics = describe_images(synthetic_examples(50)[0])
    measured = {
        name: Measured(float(values.min()), float(values.max()), float(values.mean()))
        for name, values in statistics.items()
    }
    if reference is None:
        splits = {
            "train": synthetic_examples(54),
            "validation": synthetic_examples(6, seed=2),
            "test": synthetic_examples(20, seed=1),
        }
        reference = measure_in_memory(splits)
    return propose_schema(measured, reference).split("\n", 1)[1]


def any_images() -> Reference:
    """Returns a reference whose bounds no image exceeds, for data that training must notice."""
    from components.image_validator.reference import Limits, Spread
    from support.references import uniform_reference

    limits = Limits(
        duplicates=10**9,
        overlaps=10**9,
        shares={"train": 0.771, "validation": 0.086, "test": 0.143},
    )
    return uniform_reference(
        limits,
        Spread(mean=0, deviation=1e9),
        images=1000,
        largest_distance=1e9,
        deviation=1e3,
    )


def measure_in_memory(splits: Mapping[str, Examples]) -> Reference:
    """Measures the reference of a few examples, like `measure_reference` without its files."""
    from components.image_validator.evidence import describe_batch, merge
    from components.image_validator.measure import to_reference

    reference = None
    for _ in range(2):
        parts = [
            describe_batch(*examples, (split, ""), 0, reference)
            for split, examples in splits.items()
        ]
        reference = to_reference(merge(parts))
    assert reference is not None
    return reference


def real_digits(per_class: int = 500) -> Examples:
    """Loads bundled MNIST digits, with labels in the order 0, 1, … 9, 0, …, for tests about MNIST.

    Args:
      per_class: number of images of each class, at most 500.
    """
    from models.digits.sample import load

    images, labels = load()
    return images[: 10 * per_class], labels[: 10 * per_class]


def write_tfds_dataset(
    data_dir: Path,
    train: Examples,
    test: Examples,
    declared_shape: tuple[int, int, int] = IMAGE_SHAPE,
    declared_names: Sequence[str] | None = CLASS_NAMES,
) -> Path:
    """Writes a prepared TFDS data set with the splits train and test, one file each.

    Args:
      data_dir: TFDS data directory.
      train: examples of the official training split.
      test: examples of the official test split.
      declared_shape: image shape in the metadata, which may differ from the images' shape.
      declared_names: class names in the metadata; None declares only the number of classes.

    Returns:
      The directory with the files, `<data_dir>/<TFDS name>/<version>`.
    """
    import tensorflow_datasets as tfds

    directory = data_dir / DATASET.tfds_name / DATASET.tfds_version
    directory.mkdir(parents=True)
    label = (
        tfds.features.ClassLabel(num_classes=NUM_CLASSES)
        if declared_names is None
        else tfds.features.ClassLabel(names=list(declared_names))
    )
    image = tfds.features.Image(shape=declared_shape, dtype=np.uint8)
    tfds.features.FeaturesDict({"image": image, "label": label}).save_config(str(directory))
    name, _, config = DATASET.tfds_name.partition("/")
    splits = [
        _write_split(directory, split, *examples)
        for split, examples in [("train", train), ("test", test)]
    ]
    info = {
        "name": name,
        **({"configName": config} if config else {}),
        "version": DATASET.tfds_version,
        "fileFormat": "tfrecord",
        "splits": splits,
    }
    (directory / "dataset_info.json").write_text(json.dumps(info))
    return directory


def records_path(directory: Path, split: str) -> Path:
    """Returns the file of a split in a directory from `write_tfds_dataset`."""
    return directory / f"{DATASET.tfds_name.partition('/')[0]}-{split}.tfrecord-00000-of-00001"


def _write_split(
    directory: Path, split: str, images: np.ndarray, labels: np.ndarray
) -> dict[str, object]:
    import tensorflow as tf

    path = records_path(directory, split)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, label in zip(images, labels, strict=True):
            feature = {
                "image": _bytes_feature(tf.io.encode_png(image).numpy()),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return {
        "name": split,
        "shardLengths": [str(len(labels))],
        "numBytes": str(path.stat().st_size),
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    }


def _bytes_feature(value: bytes) -> object:
    import tensorflow as tf

    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
