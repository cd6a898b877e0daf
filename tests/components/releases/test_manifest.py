from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.release_fixtures import MakeModel, checksum, no_check, release_facts

from components.releases.manifest import (
    RELEASE_FILE,
    ManifestError,
    read_release,
    release_problems,
    verified_release,
)
from components.releases.store import ReleaseStore
from models.definition import DATASET


@pytest.fixture
def version_dir(make_model: MakeModel, tmp_path: Path) -> Path:
    store = ReleaseStore(tmp_path / "models")
    model = make_model("a")
    return store.push(model, release_facts(), checksum(model), no_check, lambda: 1000.0).path


def test_the_manifest_lists_every_file_with_size_and_checksum(version_dir: Path) -> None:
    release = read_release(version_dir)
    assert release.format == 3
    assert release.version == 1000
    assert release.created.isoformat() == "1970-01-01T00:16:40+00:00"
    assert {name: file.bytes for name, file in release.files.items()} == {
        "saved_model.pb": 1,
        "variables/data": 1000,
    }
    # SHA-256 of "a"
    assert release.files["saved_model.pb"].sha256 == (
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    )


def test_the_manifest_round_trips_through_json(version_dir: Path) -> None:
    text = (version_dir / RELEASE_FILE).read_text()
    assert read_release(version_dir).to_json() == text
    assert json.loads(text)["created"] == "1970-01-01T00:16:40Z"


def test_an_intact_release_has_no_problems(version_dir: Path) -> None:
    assert release_problems(version_dir) == []


def test_each_damaged_file_is_listed(version_dir: Path) -> None:
    (version_dir / "saved_model.pb").write_text("b")
    (version_dir / "variables" / "data").unlink()
    (version_dir / "new").touch()
    assert release_problems(version_dir) == [
        "variables/data is missing",
        "new is not in the manifest",
        "saved_model.pb has changed",
    ]


def test_a_manifest_whose_checksum_of_the_model_is_wrong_is_listed(version_dir: Path) -> None:
    path = version_dir / RELEASE_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_sha256": "0" * 64}))
    assert release_problems(version_dir) == ["model_sha256 contradicts the files in the manifest"]


def test_symbolic_links_are_listed_although_their_targets_match(version_dir: Path) -> None:
    data = version_dir / "variables" / "data"
    data.symlink_to(data.rename(version_dir.parent / "data"))
    (version_dir / "folder").symlink_to("variables")
    assert release_problems(version_dir) == [
        "folder is a symbolic link",
        "variables/data is a symbolic link",
    ]


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"Can't read .*/release.json: No such file"):
        read_release(tmp_path)
    (problem,) = release_problems(tmp_path)
    assert "No such file" in problem


def test_a_verified_release_is_intact_or_has_no_manifest(version_dir: Path) -> None:
    assert verified_release(version_dir) == read_release(version_dir)
    (version_dir / "new").touch()
    with pytest.raises(ManifestError, match=r"damaged: new is not in the manifest\. Push it again"):
        verified_release(version_dir)
    (version_dir / RELEASE_FILE).unlink()
    assert verified_release(version_dir) is None


def test_the_manifest_describes_the_data(version_dir: Path) -> None:
    data = json.loads((version_dir / RELEASE_FILE).read_text())["data"]
    assert data["title"] == DATASET.title
    assert data["noun"] == DATASET.noun
    assert tuple(data["class_names"]) == DATASET.class_names
    assert tuple(data["image_shape"]) == DATASET.image_shape
    assert data["picture_form"] == DATASET.picture_form
    assert data["picture_preprocessing"] == DATASET.picture_preprocessing
    assert data["least_confidence"] == DATASET.least_confidence


def test_a_manifest_of_format_1_describes_mnist_regardless_of_the_definition(
    version_dir: Path,
) -> None:
    path = version_dir / RELEASE_FILE
    manifest = json.loads(path.read_text())
    data = {name: manifest["data"][name] for name in ("source", "fingerprint", "counts")}
    path.write_text(json.dumps({**manifest, "format": 1, "data": data}))
    release = read_release(version_dir)
    assert release.format == 3
    assert release.data.title == "MNIST"
    assert release.data.class_names == tuple("0123456789")
    assert release.data.image_shape == (28, 28, 1)


def test_a_manifest_of_format_2_is_intact_without_its_training(version_dir: Path) -> None:
    path = version_dir / RELEASE_FILE
    manifest = json.loads(path.read_text())
    del manifest["training"]
    path.write_text(json.dumps({**manifest, "format": 2}))
    release = verified_release(version_dir)
    assert release
    assert (release.format, release.training) == (3, None)
    assert release.data.class_names == DATASET.class_names


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 4}, "format: Input should be 3"),
        ({"version": "newest"}, "version: Input should be a valid integer"),
        ({"created": "2024-01-01T00:00:00"}, "created: Input should have timezone info"),
        ({"unknown": 1}, "unknown: Extra inputs are not permitted"),
    ],
)
def test_a_malformed_manifest_is_an_error(
    version_dir: Path, change: dict[str, object], problem: str
) -> None:
    path = version_dir / RELEASE_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ManifestError, match=f"Expected a release manifest in .*: {problem}"):
        read_release(version_dir)


def test_a_truncated_manifest_is_an_error(version_dir: Path) -> None:
    path = version_dir / RELEASE_FILE
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ManifestError, match="JSON: Invalid JSON"):
        read_release(version_dir)


def test_the_package_imports_neither_tensorflow_nor_tfx() -> None:
    code = (
        "import sys, components.releases.store; "
        "print(sorted({'tensorflow', 'tfx', 'apache_beam', 'numpy'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
