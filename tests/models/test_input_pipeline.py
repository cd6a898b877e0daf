"""The input pipeline streams all examples, in the right order, in bounded memory."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.small_trainings import serialize, write_examples
from support.tfds_directory import synthetic_examples
from tensorflow_transform.output_wrapper import TFTransformOutput

from models import input_pipeline
from models.features import IMAGE_BYTES, NUM_CLASSES
from models.hyperparameters import Hyperparameters
from models.input_pipeline import images_in

_COUNT = 20 * NUM_CLASSES
_IMAGES, _LABELS = (values[:_COUNT] for values in synthetic_examples(25))


@pytest.fixture(scope="module")
def files(little_data: Path) -> list[str]:
    return input_pipeline.match_files([f"{little_data}/train-*"])


def _sums(batches: tf.data.Dataset) -> list[float]:
    """Returns the sum of each image's pixels, which identifies the image."""
    return [float(value) for images, _ in batches for value in tf.reduce_sum(images, [1, 2, 3])]


def _pairs(pixels: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), int(label)) for image, label in zip(pixels, labels, strict=True)]


def _training_batches(
    files: list[str],
    tft_output: TFTransformOutput,
    epochs: range,
    **options: Any,
) -> tf.data.Dataset:
    parameters = Hyperparameters(**{"recipe": "notebook", "seed": 5, **options})
    return input_pipeline.training_batches(files, _COUNT, tft_output, parameters, epochs)


def _epochs(
    files: list[str], tft_output: TFTransformOutput, epochs: range, seed: int = 5
) -> list[list[float]]:
    sums = _sums(_training_batches(files, tft_output, epochs, batch_size=32, seed=seed))
    return [sums[i : i + _COUNT] for i in range(0, len(sums), _COUNT)]


def test_matching_files_are_sorted(little_data: Path) -> None:
    names = input_pipeline.match_files([f"{little_data}/validation*", f"{little_data}/train-*"])
    assert [Path(name).name for name in names] == [
        "train-00000-of-00002.gz",
        "train-00001-of-00002.gz",
        "validation.gz",
    ]


def test_a_pattern_without_a_match_is_an_error(little_data: Path) -> None:
    with pytest.raises(ValueError, match=r"no TFRecord files match '.*/tests-\*'; check that"):
        input_pipeline.match_files([f"{little_data}/train-*", f"{little_data}/tests-*"])


def test_counts_the_examples_of_all_files(files: list[str]) -> None:
    assert input_pipeline.count_examples(files) == _COUNT


def test_files_without_examples_are_an_error(tmp_path: Path) -> None:
    write_examples(tmp_path / "empty.gz", _IMAGES[:0], _LABELS[:0])
    with pytest.raises(ValueError, match=r"^Expected at least 1 example, received 0 in \[.*empty"):
        input_pipeline.count_examples([str(tmp_path / "empty.gz")])


def test_evaluation_yields_each_example_once_in_order(
    files: list[str], tft_output: TFTransformOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_pipeline, "EVALUATION_BATCH_SIZE", _COUNT - 1)
    batches = list(input_pipeline.evaluation_batches(files, tft_output))
    assert [len(labels) for _, labels in batches] == [_COUNT - 1, 1]
    assert [images.dtype for images, _ in batches] == [tf.float32, tf.float32]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_array_equal(images, _IMAGES.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(labels, _LABELS)


def test_an_epoch_yields_each_example_once_with_its_label(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    sizes, seen = [], []
    for images, labels in _training_batches(files, tft_output, range(1), batch_size=7):
        sizes.append(len(labels))
        pixels = np.round(images.numpy() * 255).astype(np.uint8)
        seen += _pairs(pixels, labels.numpy())
    assert sorted(seen) == sorted(_pairs(_IMAGES, _LABELS))
    assert sum(sizes) == _COUNT
    assert set(sizes[:-1]) == {7}


def test_no_iterator_waits_for_the_autotuner(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    training = _training_batches(files, tft_output, range(1))
    for dataset in (training, input_pipeline.evaluation_batches(files, tft_output)):
        assert dataset.options().autotune.enabled is False


def test_batches_do_not_span_epochs(files: list[str], tft_output: TFTransformOutput) -> None:
    batches = _training_batches(files, tft_output, range(2), batch_size=_COUNT - 1)
    assert [len(labels) for _, labels in batches] == [_COUNT - 1, 1, _COUNT - 1, 1]


def test_each_epoch_is_shuffled_differently_across_files(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    first, second = _epochs(files, tft_output, range(2))
    in_files = _sums(input_pipeline.evaluation_batches(files, tft_output))
    assert first != second
    assert sorted(first) == sorted(second) == sorted(in_files)
    positions = [in_files.index(value) for value in first[: _COUNT // 4]]
    assert min(positions) < _COUNT // 4
    assert max(positions) >= 3 * _COUNT // 4


def test_the_order_depends_on_the_seed(files: list[str], tft_output: TFTransformOutput) -> None:
    orders = [_epochs(files, tft_output, range(1), seed) for seed in (5, 5, 6)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_the_order_does_not_depend_on_the_global_seed(
    files: list[str], tft_output: TFTransformOutput, seed: int
) -> None:
    orders = []
    for global_seed in (0, 1, 2**31 - 1):
        tf.random.set_seed(global_seed)
        orders.append(_epochs(files, tft_output, range(2), seed))
    assert orders[0] == orders[1] == orders[2]
    assert orders[0][0] != orders[0][1]


def test_the_order_does_not_depend_on_the_first_epoch(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    assert _epochs(files, tft_output, range(2, 4)) == _epochs(files, tft_output, range(4))[2:]


def test_augmentation_keeps_the_order_and_the_labels(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    plain = list(_training_batches(files, tft_output, range(2), batch_size=32))
    augmented = list(_training_batches(files, tft_output, range(2), batch_size=32, shift=0.01))
    for (images, labels), (others, other_labels) in zip(plain, augmented, strict=True):
        assert images.dtype == others.dtype == tf.float32
        np.testing.assert_array_equal(labels, other_labels)
        assert 0 < np.abs(images - others).mean() < 0.1


def test_augmentation_depends_on_seed_epoch_and_step_only(
    files: list[str], tft_output: TFTransformOutput
) -> None:
    def sums(epochs: range, seed: int = 5) -> list[float]:
        return _sums(
            _training_batches(files, tft_output, epochs, batch_size=32, seed=seed, shift=0.2)
        )

    uninterrupted = sums(range(3))
    assert sums(range(2, 3)) == uninterrupted[2 * _COUNT :]
    assert len(set(uninterrupted)) > 2 * _COUNT
    assert sorted(sums(range(1), seed=6)) != sorted(uninterrupted[:_COUNT])


def test_no_two_epochs_or_seeds_have_the_same_augmentation(
    tmp_path: Path, tft_output: TFTransformOutput
) -> None:
    write_examples(tmp_path / "equal.gz", np.repeat(_IMAGES[:1], 8, axis=0), _LABELS[:8])
    options = {"batch_size": 3, "zoom": 0.5}
    sums = [
        value
        for seed in (5, 6)
        for value in _sums(
            _training_batches(
                [str(tmp_path / "equal.gz")], tft_output, range(2), seed=seed, **options
            )
        )
    ]
    assert len(set(sums)) == len(sums) == 2 * 2 * 8


def test_files_are_shuffled_if_the_buffer_is_too_small(
    tmp_path: Path, tft_output: TFTransformOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_pipeline, "SHUFFLE_BUFFER", 2)
    files = [str(tmp_path / f"{number:02}.gz") for number in range(10)]
    for number, file in enumerate(files):
        write_examples(Path(file), _IMAGES[number::10], _LABELS[number::10])
    in_files = _sums(input_pipeline.evaluation_batches(files, tft_output))
    epochs = _epochs(files, tft_output, range(4))
    assert all(sorted(epoch) == sorted(in_files) for epoch in epochs)
    first_files = {in_files.index(epoch[0]) * 10 // _COUNT for epoch in epochs}
    assert len(first_files) > 1
    assert _epochs(files, tft_output, range(2, 4)) == epochs[2:]


def test_buffer_sizes_are_limited_in_bytes() -> None:
    large = 224 * 224 * 3
    assert images_in(128, large) * large <= 128 * 2**20
    assert images_in(4, large) == 27
    assert images_in(4, 2**30) == 1
    assert input_pipeline.SHUFFLE_BUFFER * IMAGE_BYTES <= 128 * 2**20


def test_all_of_mnist_fits_into_the_buffer() -> None:
    assert images_in(128, 28 * 28) > 60_000
    assert images_in(4, 28 * 28) > 500


def test_memory_does_not_grow_with_the_data_set(
    tmp_path: Path, tft_output: TFTransformOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_pipeline, "SHUFFLE_BUFFER", buffer := images_in(48))
    record = serialize(_IMAGES[0], 3)
    file = str(tmp_path / "records")
    with tf.io.TFRecordWriter(file, options="GZIP") as writer:
        for _ in range(buffer):
            writer.write(record)
    peaks = []
    for repetitions in (1, 5):
        batches = input_pipeline.training_batches(
            [file] * repetitions,
            repetitions * buffer,
            tft_output,
            Hyperparameters(batch_size=input_pipeline.EVALUATION_BATCH_SIZE),
            range(1),
        )
        count = batches.reduce(0, lambda count, batch: count + tf.size(batch[1]))
        assert count == repetitions * buffer
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    more_data = 4 * buffer * len(record)
    assert peaks[1] - peaks[0] < more_data / 2
