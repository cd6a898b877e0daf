"""The transform graph that TFT builds and later components run."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from support.tfds_directory import synthetic_examples
from tensorflow_transform.output_wrapper import TFTransformOutput

from models import preprocessing
from models.features import IMAGE, IMAGE_BYTES, IMAGE_SHAPE, LABEL
from models.preprocessing import decode_raw_images, normalize_pixels, preprocessing_fn


def _transform(tft_output: TFTransformOutput, images: list[bytes]) -> dict[str, np.ndarray]:
    layer = tft_output.transform_features_layer()
    labels = np.arange(len(images), dtype=np.int64)
    outputs = layer({IMAGE: tf.constant(images, tf.string), LABEL: tf.constant(labels)})
    return {name: output.numpy() for name, output in outputs.items()}


def test_pixels_are_divided_by_255_exactly(tft_output: TFTransformOutput) -> None:
    raw = np.resize(np.arange(256, dtype=np.uint8), IMAGE_BYTES)
    images = _transform(tft_output, [raw.tobytes()])[IMAGE]
    assert images.dtype == np.float32
    expected = (raw.astype(np.float32) / np.float32(255)).reshape(1, *IMAGE_SHAPE)
    np.testing.assert_array_equal(images, expected)


def test_pixels_and_batch_order_are_preserved(
    tft_output: TFTransformOutput,
) -> None:
    raw = synthetic_examples(2)[0]
    images = _transform(tft_output, [image.tobytes() for image in raw])[IMAGE]
    np.testing.assert_array_equal(np.round(images * 255).astype(np.uint8), raw)


def test_raw_images_of_any_shape_have_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(2 * 5 * 4 * 3, dtype=np.uint8).reshape(2, 5, 4, 3)
    monkeypatch.setattr(preprocessing, "IMAGE_SHAPE", pixels.shape[1:])
    monkeypatch.setattr(preprocessing, "IMAGE_BYTES", pixels[0].nbytes)
    decoded = decode_raw_images(tf.constant([image.tobytes() for image in pixels]))
    np.testing.assert_array_equal(decoded, pixels.astype(np.float32) / np.float32(255))


def test_labels_pass_through(tft_output: TFTransformOutput) -> None:
    labels = _transform(tft_output, [bytes(IMAGE_BYTES)] * 3)[LABEL]
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 2]


def test_an_empty_batch_stays_empty(tft_output: TFTransformOutput) -> None:
    outputs = _transform(tft_output, [])
    assert outputs[IMAGE].shape == (0, *IMAGE_SHAPE)
    assert outputs[LABEL].shape == (0,)


@pytest.mark.parametrize("length", [0, IMAGE_BYTES - 1, IMAGE_BYTES + 1, 2 * IMAGE_BYTES])
def test_a_raw_image_of_another_length_is_an_error(
    tft_output: TFTransformOutput, length: int
) -> None:
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=f"Expected raw images of {IMAGE_BYTES} bytes, one per pixel value(.|\n)*{length}",
    ):
        _transform(tft_output, [bytes(IMAGE_BYTES), bytes(length)])


def test_outputs_are_image_and_label(tft_output: TFTransformOutput) -> None:
    assert set(tft_output.transformed_feature_spec()) == {IMAGE, LABEL}


def test_inputs_are_image_and_label() -> None:
    inputs = {IMAGE: tf.constant([bytes(IMAGE_BYTES)]), LABEL: tf.constant([1])}
    assert set(preprocessing_fn(inputs)) == {IMAGE, LABEL}


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int32, tf.float32])
def test_normalized_pixels_do_not_depend_on_the_dtype(dtype: tf.DType) -> None:
    pixels = normalize_pixels(tf.constant([0, 128, 255], dtype))
    assert pixels.dtype == tf.float32
    np.testing.assert_array_equal(pixels, np.array([0, 128 / 255, 1], np.float32))
