from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageOps
from support.served_models import SHADES, encode, push_digits, push_model, shade_model, shades
from support.tfds_directory import real_digits

from models.definition import DATASET
from pipeline.cli.predict import predict


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with 32 x 32 x 3 images and four classes, regardless of DATASET."""
    directory = tmp_path_factory.mktemp("serving")
    push_model(shade_model(tmp_path_factory.mktemp("model")), directory)
    return directory


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """A picture of each class, by class name, in different sizes and formats."""
    paths = {}
    kinds = ["png", "bmp", "tiff", "webp"]
    for number, (name, image) in enumerate(zip(SHADES.class_names, shades(4), strict=True)):
        paths[name] = tmp_path / f"{number}.{kinds[number]}"
        Image.fromarray(image).resize((40 * (number + 1),) * 2).save(paths[name])
    return paths


def call(serving: Path, *arguments: object, stdin: bytes | None = None) -> Result:
    words = ["--serving-dir", str(serving), *map(str, arguments)]
    return CliRunner().invoke(predict, words, input=stdin)


def test_class_confidence_and_second_class_are_printed(
    serving: Path, pictures: dict[str, Path]
) -> None:
    result = call(serving, *pictures.values())
    assert result.exit_code == 0
    header, *rows = result.output.splitlines()
    assert header.split() == ["image", "class", "confidence", "second", "class"]
    for (name, path), row in zip(pictures.items(), rows, strict=True):
        assert row.startswith(str(path))
        assert f" {name} " in row
        assert row.count("%") == 2


def test_json_has_an_object_for_each_picture_in_its_order(
    serving: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    result = call(serving, "--json", pictures["dark"], tmp_path / "nowhere.png", pictures["black"])
    assert result.exit_code == 1
    dark, missing, black = json.loads(result.stdout)
    assert list(dark) == [
        *("image", "label", "class", "confidence"),
        *("second_label", "second_class", "second_confidence", "declined"),
    ]
    assert (dark["image"], dark["class"], dark["label"]) == (str(pictures["dark"]), "dark", 1)
    assert (black["class"], black["second_class"], black["second_label"]) == ("black", "dark", 1)
    assert 1 >= dark["confidence"] > dark["second_confidence"] >= 0
    assert missing == {
        "image": str(tmp_path / "nowhere.png"),
        "error": "can't be read: No such file or directory",
    }


def test_unreadable_files_are_reported_and_the_rest_classified(
    serving: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "cut.png").write_bytes(encode(Image.effect_noise((50, 50), 99))[:-60])
    bad = [tmp_path / name for name in ("text.png", "cut.png", "no.png")]
    result = call(serving, *bad, pictures["light"], tmp_path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split()[:2] == [str(pictures["light"]), "light"]
    lines = result.stderr.splitlines()
    expected = {
        bad[0]: "Expected a picture",
        bad[1]: "Expected a complete PNG picture",
        bad[2]: "can't be read: No such file or directory",
        tmp_path: "can't be read: Is a directory",
    }
    assert len(lines) == len(expected)
    for line, (path, reason) in zip(lines, expected.items(), strict=True):
        assert line.startswith(f"Error: {path}: {reason}")


def test_unreadable_files_alone_print_nothing_else(serving: Path, tmp_path: Path) -> None:
    result = call(serving, tmp_path / "no.png")
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_picture_can_come_from_standard_input(serving: Path, pictures: dict[str, Path]) -> None:
    result = call(serving, "--json", "-", stdin=pictures["light"].read_bytes())
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["class"] == "light"


def test_missing_model_error_suggests_a_fix(tmp_path: Path, pictures: dict[str, Path]) -> None:
    result = call(tmp_path / "nowhere", pictures["black"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Expected a released model in ")
    assert "make run" in result.stderr


def test_missing_pictures_are_a_usage_error(serving: Path) -> None:
    assert call(serving).exit_code == 2


def test_only_predictions_are_printed(serving: Path, pictures: dict[str, Path]) -> None:
    code = "from pipeline.cli.predict import predict; predict()"
    arguments = ["--serving-dir", str(serving), "--json", str(pictures["black"])]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert json.load(io.StringIO(result.stdout))[0]["class"] == "black"
    assert result.stderr == ""


@pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")
def test_digits_in_any_style_are_classified(tmp_path: Path) -> None:
    push_digits(tmp_path / "serving")
    images, labels = real_digits()
    paths = []
    for number in range(20):
        digit = Image.fromarray(images[-number - 1, :, :, 0])
        guise = ImageOps.invert(digit).resize((300, 300)).convert("RGB") if number % 2 else digit
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(encode(guise))
    (tmp_path / "empty.png").write_bytes(encode(Image.new("L", (50, 50))))
    result = call(tmp_path / "serving", "--json", *paths, tmp_path / "empty.png")
    *digits, empty = json.loads(result.stdout)
    right = [digit["label"] == labels[-number - 1] for number, digit in enumerate(digits)]
    assert np.mean(right) >= 0.85
    assert empty["error"].startswith("No digit found in the picture")
