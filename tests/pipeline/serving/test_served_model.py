from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.served_models import (
    SHADES,
    encode,
    push_model,
    shade_model,
    shades,
    store_in,
)

from components.releases.manifest import RELEASE_FILE, ManifestError
from components.releases.store import ReleaseStore
from models.definition import DATASET
from models.pictures import open_picture
from pipeline.serving.served_model import ServedModel, ServedModelError, live_release


@pytest.fixture
def model_dir(tmp_path: Path, shades_model: Path) -> Path:
    push_model(shades_model, tmp_path)
    return live_release(store_in(tmp_path))


def describe_data(version_dir: Path, **changes: Any) -> None:
    """Edits the facts in a manifest."""
    path = version_dir / RELEASE_FILE
    manifest = json.loads(path.read_text())
    manifest["data"] |= changes
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_missing_release_is_reported_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ServedModelError, match=r"found none: push one with `make run`\.$"):
        live_release(ReleaseStore(tmp_path / name))


def test_an_invalid_model_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_text("no model")
    with pytest.raises(ServedModelError, match=r"/1 can't be loaded: ") as caught:
        ServedModel.load(tmp_path / "1")
    assert "\n" not in str(caught.value)


def test_shape_and_classes_are_those_of_the_release(model_dir: Path) -> None:
    """A rollback across a change of the data definition still serves the older data set."""
    assert SHADES.image_shape != DATASET.image_shape or SHADES.class_names != DATASET.class_names
    model = ServedModel.load(model_dir)
    assert model.data == SHADES
    probabilities = model.predict(shades(40))
    assert probabilities.shape == (40, 4)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    assert (np.diff(probabilities.argmax(axis=1)) >= 0).all(), "from black to white"
    assert model.predict(shades(0)).shape == (0, 4)


def test_pictures_are_prepared_with_the_facts_of_the_release(model_dir: Path) -> None:
    image = shades(9)[5]
    prepared = ServedModel.load(model_dir).prepare(open_picture(encode(image)))
    assert np.array_equal(prepared.views, image[np.newaxis]), "not by DATASET's preprocessing"


def test_model_is_called_with_a_bounded_number_of_images(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ServedModel.load(model_dir)
    function, sizes = model.signatures["serving_default"], []

    def call(examples: Any) -> Any:
        sizes.append(len(examples))
        return function(examples=examples)

    images = shades(600)
    expected = model.predict(images)
    monkeypatch.setattr(model, "signatures", {"serving_default": call})
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-6)
    assert sizes == [256, 256, 88]


def test_a_model_without_a_manifest_has_the_facts_of_the_data_definition(tmp_path: Path) -> None:
    facts = SHADES.model_copy(
        update={"image_shape": DATASET.image_shape, "class_names": DATASET.class_names}
    )
    model = ServedModel.load(shade_model(tmp_path / "7", facts))
    assert (model.version, model.release) == (7, None)
    assert model.data.class_names == DATASET.class_names
    assert model.data.picture_preprocessing == DATASET.picture_preprocessing
    images = shades(3, DATASET.image_shape)
    assert model.predict(images).shape == (3, len(DATASET.class_names))


def test_damaged_release_is_not_loaded(model_dir: Path) -> None:
    (model_dir / "assets" / "number.txt").write_text("changed")
    with pytest.raises(ManifestError, match=r"damaged: assets/number.txt has changed"):
        ServedModel.load(model_dir)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"class_names": ["one", "two"]}, "can't be loaded"),
        ({"image_shape": [9, 9, 3]}, "can't be loaded"),
        ({"picture_preprocessing": "models.gone.prepare"}, "No module named 'models.gone'"),
        ({"picture_preprocessing": "os.system"}, "name of a function in models"),
    ],
)
def test_release_that_contradicts_its_facts_is_not_loaded(
    model_dir: Path, changes: dict[str, Any], problem: str
) -> None:
    describe_data(model_dir, **changes)
    with pytest.raises(ServedModelError, match=problem):
        ServedModel.load(model_dir)
