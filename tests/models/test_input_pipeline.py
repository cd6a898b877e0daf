"""The stream of examples: complete, in order, and within bounds."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support.small_trainings import real_digits, serialize, write_examples
from tensorflow_transform.output_wrapper import TFTransformOutput

from models import input_pipeline


@pytest.fixture(scope="module")
def files(little_data: Path) -> list[str]:
    return input_pipeline.match_files([f"{little_data}/train-*"])


def _sums(batches: tf.data.Dataset) -> list[float]:
    """The sum of each image's pixels: of real digits, nearly all are different."""
    return [float(value) for images, _ in batches for value in tf.reduce_sum(images, [1, 2, 3])]


def _pairs(pixels: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), int(label)) for image, label in zip(pixels, labels, strict=True)]


def _epochs(
    files: list[str], tft_output: TFTransformOutput, epochs: range, seed: int = 5
) -> list[list[float]]:
    sums = _sums(input_pipeline.training_batches(files, tft_output, 32, seed, epochs))
    return [sums[i : i + 200] for i in range(0, len(sums), 200)]


def test_patterns_are_matched_in_order(little_data: Path) -> None:
    names = input_pipeline.match_files([f"{little_data}/validation*", f"{little_data}/train-*"])
    assert [Path(name).name for name in names] == [
        "train-00000-of-00002.gz",
        "train-00001-of-00002.gz",
        "validation.gz",
    ]


def test_a_pattern_without_a_match_is_an_error(little_data: Path) -> None:
    with pytest.raises(ValueError, match=r"found none that match '.*/tests-\*': check that"):
        input_pipeline.match_files([f"{little_data}/train-*", f"{little_data}/tests-*"])


def test_counts_the_examples_of_all_files(files: list[str]) -> None:
    assert input_pipeline.count_examples(files) == 200


def test_no_examples_are_an_error(tmp_path: Path) -> None:
    write_examples(tmp_path / "empty.gz", np.zeros((0, 784), np.uint8), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match=r"^Expected at least 1 example, received 0 in \[.*empty"):
        input_pipeline.count_examples([str(tmp_path / "empty.gz")])


def test_evaluation_has_each_example_once_in_order(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    batches = list(input_pipeline.evaluation_batches(files, tft_output, 150))
    assert [len(labels) for _, labels in batches] == [150, 50]
    assert [images.dtype for images, _ in batches] == [tf.float32, tf.float32]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    raw_images, raw_labels = real_digits()
    np.testing.assert_array_equal(images, raw_images[:200].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(labels, raw_labels[:200])


def test_an_epoch_has_each_example_once_with_its_label(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    batches = input_pipeline.training_batches(files, tft_output, 32, 5, range(1))
    sizes, seen = [], []
    for images, labels in batches:
        sizes.append(len(labels))
        pixels = np.round(images.numpy() * 255).astype(np.uint8)
        seen += _pairs(pixels, labels.numpy())
    assert sorted(seen) == sorted(_pairs(*(values[:200] for values in real_digits())))
    assert sizes == [32] * 6 + [8]


def test_batches_do_not_span_epochs(files: list[str], tft_output: TFTransformOutput) -> None:
    batches = input_pipeline.training_batches(files, tft_output, 150, 5, range(2))
    assert [len(labels) for _, labels in batches] == [150, 50, 150, 50]


def test_each_epoch_has_an_order_of_its_own_across_the_files(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    first, second = _epochs(files, tft_output, range(2))
    in_files = _sums(input_pipeline.evaluation_batches(files, tft_output, 200))
    assert first != second
    assert sorted(first) == sorted(second) == sorted(in_files)
    positions = [in_files.index(value) for value in first[:50]]
    assert min(positions) < 50
    assert max(positions) >= 150


def test_the_order_depends_on_the_seed(files: list[str], tft_output: TFTransformOutput) -> None:
    orders = [_epochs(files, tft_output, range(1), seed) for seed in (5, 5, 6)]
    assert orders[0] == orders[1] != orders[2]


def test_an_epoch_has_the_same_order_wherever_the_training_begins(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    assert _epochs(files, tft_output, range(2, 4)) == _epochs(files, tft_output, range(4))[2:]


def test_memory_does_not_grow_with_the_data(tmp_path: Path, tft_output: TFTransformOutput) -> None:
    record = serialize(*(values[0] for values in real_digits()))
    file = str(tmp_path / "records")
    with tf.io.TFRecordWriter(file, options="GZIP") as writer:
        for _ in range(input_pipeline.SHUFFLE_BUFFER):
            writer.write(record)
    peaks = []
    for repetitions in (1, 5):
        batches = input_pipeline.training_batches(
            [file] * repetitions, tft_output, 512, 1, range(1)
        )
        count = batches.reduce(0, lambda count, batch: count + tf.size(batch[1]))
        assert count == repetitions * input_pipeline.SHUFFLE_BUFFER
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    more_data = 4 * input_pipeline.SHUFFLE_BUFFER * len(record)
    assert peaks[1] - peaks[0] < more_data / 2
