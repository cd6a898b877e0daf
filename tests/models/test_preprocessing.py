"""The transform graph, as TFT makes it and as it is used after it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from support.small_trainings import real_digits
from tensorflow_transform.output_wrapper import TFTransformOutput

from models.features import IMAGE, IMAGE_SHAPE, LABEL
from models.preprocessing import normalise_pixels, preprocessing_fn


def _transform(tft_output: TFTransformOutput, images: list[bytes]) -> dict[str, np.ndarray]:
    layer = tft_output.transform_features_layer()
    labels = np.arange(len(images), dtype=np.int64)
    outputs = layer({IMAGE: tf.constant(images, tf.string), LABEL: tf.constant(labels)})
    return {name: output.numpy() for name, output in outputs.items()}


def test_pixels_become_their_255ths_exactly(tft_output: TFTransformOutput) -> None:
    raw = np.arange(784, dtype=np.int64).astype(np.uint8)
    images = _transform(tft_output, [raw.tobytes()])[IMAGE]
    expected = (raw.astype(np.float32) / np.float32(255)).reshape(1, *IMAGE_SHAPE)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(
        [images.flat[value] for value in (0, 1, 128, 255)],
        np.array([0, 1 / 255, 128 / 255, 1], np.float32),
    )


def test_images_keep_their_place_in_the_batch_and_their_rows(tft_output: TFTransformOutput) -> None:
    digits = real_digits()[0][:5]
    images = _transform(tft_output, [digit.tobytes() for digit in digits])[IMAGE]
    np.testing.assert_array_equal(np.round(images * 255).astype(np.uint8), digits)


def test_labels_pass_through(tft_output: TFTransformOutput) -> None:
    labels = _transform(tft_output, [bytes(784)] * 3)[LABEL]
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 2]


def test_an_empty_batch_stays_empty(tft_output: TFTransformOutput) -> None:
    outputs = _transform(tft_output, [])
    assert outputs[IMAGE].shape == (0, *IMAGE_SHAPE)
    assert outputs[LABEL].shape == (0,)


@pytest.mark.parametrize("length", [0, 783, 785, 2 * 784])
def test_images_of_another_length_are_an_error(tft_output: TFTransformOutput, length: int) -> None:
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=f"Expected raw images of 784 bytes, one for each pixel(.|\n)*{length}",
    ):
        _transform(tft_output, [bytes(784), bytes(length)])


def test_only_image_and_label_come_out(tft_output: TFTransformOutput) -> None:
    assert set(tft_output.transformed_feature_spec()) == {IMAGE, LABEL}


def test_nothing_but_image_and_label_is_read() -> None:
    outputs = preprocessing_fn({IMAGE: tf.constant([bytes(784)]), LABEL: tf.constant([7])})
    assert set(outputs) == {IMAGE, LABEL}


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int32, tf.float32])
def test_normalised_pixels_do_not_depend_on_the_dtype(dtype: tf.DType) -> None:
    pixels = normalise_pixels(tf.constant([0, 128, 255], dtype))
    assert pixels.dtype == tf.float32
    np.testing.assert_array_equal(pixels, np.array([0, 128 / 255, 1], np.float32))
