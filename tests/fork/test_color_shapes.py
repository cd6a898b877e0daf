"""A fork for 32 x 32 color images of four named classes, with its own network.

Only the data definition, the schema and the list of architectures differ from this project. The
schema is proposed by the fork, and the tests use the fork like a user.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.forks import Fork
from support.running_server import RunningServer

CLASSES = ["red fox", "green <tree>", "blue whale", "snow"]
DEFINITION = f"""
from models.dataset_definition import DatasetDefinition

DATASET = DatasetDefinition(
    name="color-shapes",
    title="Color shapes",
    noun="shape",
    tfds_name="color_shapes",
    tfds_version="2.1.0",
    image_shape=(32, 32, 3),
    class_names={tuple(CLASSES)!r},
    picture_form="a colored shape that fills the picture",
    image_statistics=("contrast", "colorfulness"),
)
"""
ARCHITECTURE = '''


def build_pooled(parameters):
    """Builds a small network with a nested model."""
    import keras

    inner = keras.Sequential(
        [
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.SpatialDropout2D(0.1),
        ]
    )
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            inner,
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_CLASSES, activation="softmax", dtype="float32"),
        ]
    )


ARCHITECTURES["pooled"] = build_pooled
'''
WRITE_DATA = """
import sys
from pathlib import Path
from PIL import Image
from support.tfds_directory import synthetic_examples, write_tfds_dataset

directory = Path(sys.argv[1])
write_tfds_dataset(directory, synthetic_examples(120), synthetic_examples(30, seed=1))
for image, label in zip(*synthetic_examples(2, seed=2)):
    Image.fromarray(image).save(directory / f"{label}.png")
"""
LOOSE_GATES = ["--class-recall-threshold=0.5", "--max-loss=2", "--min-test-examples=100"]


def run_options(fork: Fork) -> list[str]:
    return [f"--data-dir={fork.directory}", "--epochs=2", "--batch-size=16", *LOOSE_GATES]


def succeeded(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Fork:
    """The fork, with a reviewed schema, data, and a released model."""
    fork = Fork.make(tmp_path_factory.mktemp("fork"), DEFINITION)
    architectures = fork.directory / "models" / "architectures.py"
    architectures.write_text(architectures.read_text() + ARCHITECTURE)
    succeeded(fork.python("-c", WRITE_DATA, str(fork.directory)))
    schema = fork.directory / "pipeline" / "schema.pbtxt"
    output = ["--output", str(schema), "--force"]
    succeeded(fork.command("schema", "propose", *output, f"--data-dir={fork.directory}"))
    ended = fork.command("run", *run_options(fork))
    assert ended.returncode == 2
    assert "UNREVIEWED" in ended.stderr
    fork.review_schema()
    succeeded(fork.command("run", *run_options(fork), "--architecture=pooled"))
    return fork


@pytest.fixture(scope="module")
def release(fork: Fork) -> dict[str, Any]:
    (path,) = fork.directory.glob("output/serving/color-shapes/*/release.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture(scope="module")
def server(fork: Fork) -> Iterator[RunningServer]:
    serving_dir = fork.directory / "output" / "serving"
    server = RunningServer(serving_dir, project=fork.directory, environment=fork.environment())
    try:
        server.wait_until(server.responds)
        yield server
    finally:
        server.stop()


def picture(fork: Fork, label: int) -> bytes:
    return (fork.directory / f"{label}.png").read_bytes()


def test_release_describes_itself(release: dict[str, Any]) -> None:
    data = release["data"]
    assert data["class_names"] == CLASSES
    assert data["title"] == "Color shapes"
    assert data["image_shape"] == [32, 32, 3]
    assert data["source"] == "tfds:color_shapes/2.1.0"
    assert data["counts"] == {"train": 432, "validation": 48, "test": 120}
    assert release["metrics"]["accuracy"] >= 0.95


def test_report_shows_training_and_classes(fork: Fork) -> None:
    (page,) = fork.directory.glob("output/pipeline/reports/*/report.html")
    html = page.read_text()
    assert "<title>Color shapes run report: blessed</title>" in html
    assert "green &lt;tree&gt;" in html
    assert "green <tree>" not in html
    assert "This section failed" not in html
    assert "MNIST" not in html
    assert "digit" not in html


def test_predict_names_the_classes(fork: Fork) -> None:
    names = [f"{label}.png" for label in range(4)]
    predictions = json.loads(succeeded(fork.command("predict", "--json", *names)))
    assert [prediction["class"] for prediction in predictions] == CLASSES


def test_all_interfaces_return_the_same_predictions(fork: Fork, server: RunningServer) -> None:
    described = server.get("/api/model").json()
    assert described["class_names"] == CLASSES
    for label in range(4):
        body = picture(fork, label)
        classified = server.post("/api/classify", data=body).json()
        assert classified["class_name"] == CLASSES[label]
        assert classified["declined"] is None
        instances = [{"b64": base64.b64encode(body).decode()}]
        for signature in ("serving_images", "pictures"):
            request = {"signature_name": signature, "inputs": instances}
            response = server.post("/v1/models/color-shapes:predict", json=request)
            outputs = response.json()["outputs"]
            (probabilities,) = outputs["probabilities"] if signature == "pictures" else outputs
            assert probabilities == pytest.approx(classified["probabilities"], abs=1e-5)


def test_metrics_name_the_classes(fork: Fork, server: RunningServer) -> None:
    server.post("/api/classify", data=picture(fork, 1))
    assert 'class="green <tree>"' in requests.get(f"{server.url}/metrics", timeout=10).text


def test_other_data_is_never_substituted(fork: Fork, tmp_path: Path) -> None:
    before = sorted(fork.directory.glob("output/serving/*/*"))
    for options in ([f"--data-dir={tmp_path}"], ["--data=bundled"]):
        ended = fork.command("run", *run_options(fork), *options)
        assert ended.returncode in (1, 2), ended.stdout
        assert "Error: " in ended.stdout + ended.stderr
    assert sorted(fork.directory.glob("output/serving/*/*")) == before


def test_class_names_are_compared_with_those_of_the_data(fork: Fork, tmp_path: Path) -> None:
    swapped = DEFINITION.replace("'blue whale', 'snow'", "'snow', 'blue whale'")
    other = Fork.make(tmp_path / "other", swapped)
    schema = (fork.directory / "pipeline" / "schema.pbtxt").read_text()
    (other.directory / "pipeline" / "schema.pbtxt").write_text(schema)
    ended = other.command("run", *run_options(fork), "--data=tfds")
    assert ended.returncode == 4
    assert "blue whale" in ended.stdout
    assert not list(other.directory.glob("output/serving/*/*"))


def test_missing_preprocessing_is_rejected_at_startup(fork: Fork, tmp_path: Path) -> None:
    definition = DEFINITION.replace(
        "image_statistics", 'picture_preprocessing="models.pictures.crop",\n    image_statistics'
    )
    other = Fork.make(tmp_path / "other", definition)
    schema = (fork.directory / "pipeline" / "schema.pbtxt").read_text()
    (other.directory / "pipeline" / "schema.pbtxt").write_text(schema)
    ended = other.command("run", *run_options(fork))
    assert ended.returncode == 2
    assert "picture_preprocessing: Expected the name of a function in models" in ended.stderr
    assert not (other.directory / "output").exists()
