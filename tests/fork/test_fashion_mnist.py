"""The steps of docs/own-data.md: a fork for Fashion-MNIST, from Debian's dataset-fashion-mnist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import documentation
from support.forks import Fork

IDX_FILES = Path("/usr/share/datasets/fashion-mnist")
PAGE = Path("docs/own-data.md")
WRITE_DATA = """
import gzip
import sys
from pathlib import Path

import numpy as np
from support.tfds_directory import write_tfds_dataset


def read(name, header):
    with gzip.open(Path(sys.argv[1]) / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def examples(split):
    images = read(f"{split}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    return images, read(f"{split}-labels-idx1-ubyte.gz", 8).astype(np.int64)


write_tfds_dataset(Path(sys.argv[2]), examples("train"), examples("t10k"))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not IDX_FILES.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
    ),
]


def block(language: str) -> str:
    """The code block in a language on the page."""
    (found,) = (block for block in documentation.blocks(PAGE) if block.language == language)
    return found.text


def test_the_documented_steps_release_a_model(tmp_path: Path) -> None:
    fork = Fork.make(tmp_path / "fork", block("python"))
    data = {"TFDS_DATA_DIR": str(tmp_path)}
    written = fork.python("-c", WRITE_DATA, str(IDX_FILES), str(tmp_path))
    assert written.returncode == 0, written.stderr
    program, *arguments = block("sh").split()
    assert program == ".venv/bin/mnist-pipeline"
    proposed = fork.python("-m", "pipeline", *arguments, **data)
    assert proposed.returncode == 0, proposed.stdout + proposed.stderr
    fork.review_schema()
    (fork.directory / "fashion.yaml").write_text(block("yaml"))

    ended = fork.python("-m", "pipeline", "run", "--settings=fashion.yaml", "--epochs=3", **data)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (path,) = fork.directory.glob("output/serving/fashion-mnist/*/release.json")
    release = json.loads(path.read_text())
    assert release["data"]["class_names"][9] == "Ankle boot"
    assert release["data"]["counts"] == {"train": 54000, "validation": 6000, "test": 10000}
