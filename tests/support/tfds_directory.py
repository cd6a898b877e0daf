"""Writes small directories as TFDS prepares them, for the data set of `models.definition`.

TFDS itself would refuse to write what negative tests need: labels out of range, shapes that aren't
declared, counts that aren't right.

A test of code that works on any data set uses `synthetic_examples`, so that it also passes in a
fork:

    train, test = synthetic_examples(60), synthetic_examples(20, seed=1)
    write_tfds_dataset(tmp_path, train, test)  # Then set data_dir, or TFDS_DATA_DIR, to tmp_path.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.definition import DATASET
from models.features import CLASS_NAMES, IMAGE_SHAPE, NUM_CLASSES

Examples = tuple[np.ndarray, np.ndarray]
"""uint8 images of shape (n, height, width, channels), and int64 labels of shape (n,)."""

_GRID = 4


def synthetic_examples(per_class: int, seed: int = 0) -> Examples:
    """Draws images that the network of `models.architectures` tells apart after two epochs.

    With 50 or more images of each class and a batch size of 32, more than 95% are right then.

    Each class has its own pattern of light cells on a dark ground, a different one in each channel,
    inside an empty border of a seventh of each side. Pixels vary from image to image. The images
    satisfy the reviewed schema of MNIST, and `models.digits.framing.to_mnist` leaves them as they
    are. The patterns depend on the label only, so different seeds draw from the same classes, and
    the images of `seed=1` make a test set for those of `seed=0`.

    Args:
      per_class: images of each class.
      seed: of the noise.

    Returns:
      uint8 images of shape (NUM_CLASSES * per_class, *IMAGE_SHAPE) and int64 labels, the classes
      in turn (0, 1, …, 0, 1, …).
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
    """Which pixels are lit: bool of shape (NUM_CLASSES, height, width, channels).

    Cells are lit in pairs that face each other across the center, which so stays the center of
    mass, as MNIST's form has it.
    """
    shape = (NUM_CLASSES, IMAGE_SHAPE[2], _GRID**2)
    codes = _distinct_codes(NUM_CLASSES * IMAGE_SHAPE[2], _GRID**2 // 2)
    lit = np.concatenate([codes, codes[:, ::-1]], axis=1).reshape(shape)
    rows, columns = (np.arange(side) * _GRID // side for side in (height, width))
    return np.moveaxis(lit[..., rows[:, np.newaxis] * _GRID + columns], 1, -1)


def _distinct_codes(count: int, bits: int) -> np.ndarray:
    """Chooses codes of a quarter to three quarters of ones, each as far from the others as can be.

    Starts again when there are no more, so that a class may share a code in one of its channels.
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


def synthetic_schema() -> str:
    """Writes the schema that is proposed for synthetic examples, as if reviewed."""
    from components.data_gate.schema import Measured, propose_schema
    from models.image_statistics import describe_images

    statistics = describe_images(synthetic_examples(50)[0])
    measured = {
        name: Measured(float(values.min()), float(values.max()), float(values.mean()))
        for name, values in statistics.items()
    }
    return propose_schema(measured).split("\n", 1)[1]


def real_digits(per_class: int, first: int = 0) -> Examples:
    """Takes digits of MNIST, the classes in turn (0, 1, … 9, 0, …), for tests about MNIST.

    Args:
      per_class: how many of each class.
      first: number of the first one to take in each class; there are 500.
    """
    from models.digits.sample import load

    images, labels = load()
    return images[10 * first :][: 10 * per_class], labels[10 * first :][: 10 * per_class]


def write_tfds_dataset(
    data_dir: Path,
    train: Examples,
    test: Examples,
    declared_shape: tuple[int, int, int] = IMAGE_SHAPE,
    declared_names: Sequence[str] | None = CLASS_NAMES,
) -> Path:
    """Writes `<data_dir>/<TFDS name>/<version>`, one file for each of the splits train and test.

    Args:
      data_dir: TFDS's data directory.
      train: of the official training split.
      test: of the official test split.
      declared_shape: of an image, as the metadata says it, whatever the images are.
      declared_names: of the classes, in the metadata; None declares their number only.

    Returns:
      The directory with the files.
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
    """The file that holds a split in a directory from `write_tfds_dataset`."""
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
