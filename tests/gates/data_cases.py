"""Data sets that the data gate must reject or accept, made from 5,000 real digits.

A case changes an honest data set of 4,000 training and 1,000 test digits. Each change has
parameters, such as the split and the share of images that it affects.
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from support.tfds_directory import Examples, real_digits

from models.dataset_definition import StatisticName

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
DataSet = tuple[Examples, Examples]
"""Official training and test examples."""

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")


@dataclass(frozen=True)
class Case:
    """A data set.

    Attributes:
      name: what is wrong with the data, or right.
      make: changes an honest data set.
      expected: parts of the rejection; empty if the data must pass.
    """

    name: str
    make: Callable[[Examples, Examples], DataSet]
    expected: tuple[str, ...] = ()


def honest(seed: int = 0, size: int = 5000) -> DataSet:
    """Splits the digits randomly into 80% training and 20% test digits."""
    images, labels = real_digits()
    order = np.random.default_rng(seed).permutation(len(labels))[:size]
    train, test = order[: size * 4 // 5], order[size * 4 // 5 :]
    return (images[train], labels[train]), (images[test], labels[test])


# Changes of images. Each takes and returns uint8 images of shape (n, 28, 28, 1).


def quarter_turn(images: Images) -> Images:
    return np.rot90(images, axes=(1, 2))


def half_turn(images: Images) -> Images:
    return np.rot90(images, 2, axes=(1, 2))


def transposed(images: Images) -> Images:
    return images.transpose(0, 2, 1, 3)


def mirrored(images: Images) -> Images:
    return images[:, :, ::-1]


def upside_down(images: Images) -> Images:
    return images[:, ::-1]


def dimmed(images: Images) -> Images:
    return (images * 0.7).astype(np.uint8)


def brightened(images: Images) -> Images:
    return np.minimum(images * 1.5, 255).astype(np.uint8)


def noisy(images: Images) -> Images:
    noise = np.random.default_rng(0).normal(0, 25, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def speckled(images: Images) -> Images:
    """Sets 2% of the pixels to white."""
    return np.where(np.random.default_rng(0).random(images.shape) < 0.02, 255, images)


def enlarged(images: Images) -> Images:
    """Enlarges images from 14 x 14, with interpolation."""
    return _resized_twice(images, Image.Resampling.BILINEAR)


def pixelated(images: Images) -> Images:
    """Enlarges images from 14 x 14, without interpolation."""
    return _resized_twice(images, Image.Resampling.NEAREST)


def blurred(images: Images) -> Images:
    return ndimage.uniform_filter(images, (1, 3, 3, 1))


def bold(images: Images) -> Images:
    return ndimage.grey_dilation(images, (1, 2, 2, 1))


def thin(images: Images) -> Images:
    return ndimage.grey_erosion(images, (1, 2, 2, 1))


def two_levels(images: Images) -> Images:
    return np.where(images >= 128, np.uint8(255), np.uint8(0))


def moved(images: Images) -> Images:
    return np.roll(images, 2, axis=2)


def half_covered(images: Images) -> Images:
    covered = images.copy()
    covered[:, 14:] = 0
    return covered


def marked(images: Images) -> Images:
    """Adds a white square in a corner, like a backdoor's trigger."""
    marked = images.copy()
    marked[:, 24:27, 24:27] = 255
    return marked


def framed(images: Images) -> Images:
    framed = images.copy()
    framed[:, 2, 2:26] = framed[:, 25, 2:26] = framed[:, 2:26, 2] = framed[:, 2:26, 25] = 90
    return framed


def garments(images: Images) -> Images:
    """Replaces images by Fashion-MNIST's that satisfy the bounds of the schema."""
    from models.image_statistics import STATISTICS

    found = _fashion_mnist()
    bounds: dict[StatisticName, float] = {
        "mean_intensity": 0.42,
        "bright_fraction": 0.42,
        "border_bright_fraction": 0.05,
    }
    for name, most in bounds.items():
        found = found[STATISTICS[name](found) <= most]
    least: dict[StatisticName, float] = {"mean_intensity": 0.02, "bright_fraction": 0.015}
    for name, bound in least.items():
        found = found[STATISTICS[name](found) >= bound]
    return found[: len(images)]


@functools.cache
def _fashion_mnist() -> Images:
    with gzip.open(FASHION_MNIST) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)


def _resized_twice(images: Images, method: Image.Resampling) -> Images:
    if not len(images):
        return images
    small = [Image.fromarray(image[..., 0]).resize((14, 14), 4) for image in images]
    return np.stack([np.asarray(image.resize((28, 28), method)) for image in small])[..., None]


# Changes of data sets.


def of_images(
    change: Callable[[Images], Images], splits: str = "all", share: float = 1
) -> Callable[[Examples, Examples], DataSet]:
    """Changes the first images of the official splits `train`, `test` or both (`all`)."""

    def make(train: Examples, test: Examples) -> DataSet:
        def changed(examples: Examples, name: str) -> Examples:
            images, labels = examples
            count = round(share * len(images)) if splits in ("all", name) else 0
            return np.concatenate([change(images[:count]), images[count:]]), labels

        return changed(train, "train"), changed(test, "test")

    return make


def of_labels(
    change: Callable[[Labels], Labels],
    splits: str = "all",
    share: float = 1,
) -> Callable[[Examples, Examples], DataSet]:
    """Changes the first labels of the official splits `train`, `test` or both (`all`)."""

    def make(train: Examples, test: Examples) -> DataSet:
        def changed(examples: Examples, name: str) -> Examples:
            images, labels = examples
            count = round(share * len(images)) if splits in ("all", name) else 0
            return images, np.concatenate([change(labels[:count]), labels[count:]])

        return changed(train, "train"), changed(test, "test")

    return make


def shifted(labels: Labels) -> Labels:
    return (labels + 1) % 10


def random(labels: Labels) -> Labels:
    return np.random.default_rng(0).integers(0, 10, len(labels))


def swapped(one: int, other: int) -> Callable[[Labels], Labels]:
    def change(labels: Labels) -> Labels:
        return np.select([labels == one, labels == other], [other, one], labels)

    return change


def joined(*parts: Examples) -> Examples:
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def first(examples: Examples, count: int) -> Examples:
    return examples[0][:count], examples[1][:count]


def keep(examples: Examples, counts: dict[int, int]) -> Examples:
    """Keeps only the first images of some classes, by label."""
    images, labels = examples
    kept = labels >= 0
    for label, count in counts.items():
        kept[np.flatnonzero(labels == label)[count:]] = False
    return images[kept], labels[kept]


def one_image_per_class(train: Examples, test: Examples) -> DataSet:
    images, labels = train
    index = [int(np.flatnonzero(labels == label)[0]) for label in range(10)]
    return (images[np.array(index)[labels]], labels), test


def test_in_train(train: Examples, test: Examples) -> DataSet:
    return joined(train, test), test


def test_from_train(train: Examples, test: Examples) -> DataSet:
    return train, first(train, len(test[1]))


def one_test_image_in_train(train: Examples, test: Examples) -> DataSet:
    return joined(train, first(test, 1)), test


def relabeled_copy(train: Examples, test: Examples) -> DataSet:
    images, labels = first(test, 1)
    return joined(train, (images, (labels + 1) % 10)), test


def one_image_twice(train: Examples, test: Examples) -> DataSet:
    return train, joined(test, first(test, 1))


def exchanged(train: Examples, test: Examples) -> DataSet:
    return test, train


def test_of_one_class(train: Examples, test: Examples) -> DataSet:
    pool = joined(test, first(train, 2000))
    rest = train[0][2000:], train[1][2000:]
    return rest, keep(pool, dict.fromkeys(range(1, 10), 1))


def with_counts(split: str, counts: dict[int, int]) -> Callable[[Examples, Examples], DataSet]:
    def make(train: Examples, test: Examples) -> DataSet:
        return (keep(train, counts), test) if split == "train" else (train, keep(test, counts))

    return make


def class_replaced(train: Examples, test: Examples) -> DataSet:
    """Labels images of 3 as 8 instead of its own images."""
    images, labels = train
    kept = labels != 8
    eights = np.where(labels[kept] == 3, np.arange(kept.sum()) % 2 * 5 + 3, labels[kept])
    return (images[kept], eights), test


def resplit(seed: int, size: int = 5000) -> Callable[[Examples, Examples], DataSet]:
    return lambda train, test: honest(seed, size)


_GEOMETRY = (quarter_turn, half_turn, transposed, mirrored, upside_down)
_CONTENT = (
    *_GEOMETRY,
    dimmed,
    noisy,
    speckled,
    enlarged,
    blurred,
    two_levels,
    moved,
    half_covered,
    marked,
    framed,
    garments,
)
_SUBTLE = (brightened, pixelated, bold, thin)
"""Not detected in 10% of 4,000 images."""


def _name(change: Callable[..., Any], splits: str, share: float = 1) -> str:
    where = {"all": "all splits", "train": "train", "test": "test"}[splits]
    part = "" if share == 1 else f"{share:.0%} of "
    return f"{change.__name__.replace('_', ' ')}, {part}{where}"


def _content(change: Callable[[Images], Images], splits: str, share: float = 1) -> Case:
    expected = [f"{split}: " for split in ("train", "test") if splits in ("all", split)]
    found = (*(expected if share == 1 else expected[:1]), " images")
    return Case(_name(change, splits, share), of_images(change, splits, share), found)


def _labels(change: Callable[[Labels], Labels], name: str, splits: str, share: float = 1) -> Case:
    split = "test" if splits == "test" else "train"
    part = "" if share == 1 else f" {share:.0%} of"
    return Case(
        f"labels {name},{part} {splits}", of_labels(change, splits, share), (f"{split}: class",)
    )


BAD = (
    *(_content(change, "all") for change in (*_CONTENT, *_SUBTLE)),
    *(_content(change, "test") for change in (*_GEOMETRY, dimmed, noisy, enlarged, garments)),
    *(_content(change, "train", 0.1) for change in _CONTENT),
    *(
        _labels(change, name, "all")
        for change, name in (
            (shifted, "shifted"),
            (random, "random"),
            (swapped(4, 9), "4 and 9 swapped"),
            (swapped(3, 5), "3 and 5 swapped"),
            (swapped(1, 7), "1 and 7 swapped"),
        )
    ),
    _labels(swapped(4, 9), "4 and 9 swapped", "train"),
    _labels(shifted, "shifted", "test"),
    _labels(shifted, "shifted", "train", 0.1),
    _labels(random, "random", "train", 0.1),
    _labels(swapped(1, 7), "1 and 7 swapped", "train", 0.1),
    Case("half of the 3s labeled 8", class_replaced, ("train: class 8: ",)),
    Case("one image per class", one_image_per_class, ("3,590 of 3,600 images repeat",)),
    Case("one image twice", one_image_twice, ("test: duplicates: 1 of 1,001 images",)),
    Case("test images in train", test_in_train, ("1,000 images are also in train (",)),
    Case("test from train", test_from_train, ("test: overlap with train: ", "overlap with val")),
    Case("one test image in train", one_test_image_in_train, ("test: overlap with ", ": 1 of 1")),
    Case("relabeled test image in train", relabeled_copy, ("test: overlap with ", ": 1 of 1")),
    Case("splits exchanged", exchanged, ("train: size: 900 of 5,000 images are 18.0%",)),
    Case("test of one class", test_of_one_class, ("test: share of class 0: ",)),
    Case("40 images of a class", with_counts("train", {3: 40}), ("train: share of class 3: ",)),
)
HONEST = tuple(Case(f"honest, seed {seed}", resplit(seed)) for seed in range(1, 21))
CASES = (*BAD, *HONEST)
