"""The server follows pushes and rollbacks without interrupting requests."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.running_server import MODEL, RunningServer, running_server
from support.served_models import (
    ACCURACY,
    SHADES,
    constant_model,
    push_model,
    shade_model,
    store_in,
)

from models.definition import DATASET

RELOADS = 20
MEMORY_MIB = 60  # A model takes about 15, and its graph the same.


@pytest.fixture
def serving_dir(tmp_path: Path) -> Path:
    return tmp_path / "serving"


@pytest.fixture
def empty_server(serving_dir: Path) -> Iterator[RunningServer]:
    """A server without a model."""
    server = RunningServer(serving_dir)
    try:
        server.wait_until(lambda: server.responds("/healthz"))
        yield server
    finally:
        server.stop()


def label(server: RunningServer) -> int:
    """The label that the constant model predicts."""
    (row,) = server.predict({"instances": ["anything"]}).json()["predictions"]
    return row.index(max(row))


def status(server: RunningServer, version: int) -> dict[str, Any]:
    (entry,) = server.get(f"{MODEL}/versions/{version}").json()["model_version_status"]
    return entry


def test_server_waits_for_a_first_model(
    empty_server: RunningServer, serving_dir: Path, constant_models: list[Path]
) -> None:
    server = empty_server
    server.wait_until(lambda: "Serving on http://127.0.0.1" in server.log())
    assert "No model in" in server.log()
    assert "push one with `make run`" in server.log()
    assert server.get("/readyz").status_code == 503
    assert server.get("/").status_code == 200
    described = server.get("/api/model").json()
    assert (described["model"], described["version"]) == (DATASET.name, None)
    assert described["class_names"] == list(DATASET.class_names)
    response = server.predict({"instances": ["anything"]})
    assert (response.status_code, response.json()["error"]) == (
        404,
        f"Servable not found for request: Latest({DATASET.name})",
    )
    assert server.get(MODEL).status_code == 404

    version = push_model(constant_models[1], serving_dir)
    server.wait_until(lambda: server.responds("/readyz"))
    assert server.get("/readyz").text == f"version {version}\n"
    assert label(server) == 1
    described = server.get("/api/model").json()
    assert (described["version"], described["accuracy"]) == (str(version), ACCURACY)
    assert described["created"]
    assert described["class_names"] == list(SHADES.class_names)


def test_pushes_are_followed_without_failed_requests(
    serving_dir: Path, constant_models: list[Path]
) -> None:
    first = push_model(constant_models[0], serving_dir)
    with running_server(serving_dir) as server:
        responses: list[tuple[int, str]] = []
        done = threading.Event()

        def keep_predicting() -> None:
            while not done.is_set():
                response = server.predict({"instances": ["anything"]})
                responses.append((response.status_code, response.text))

        predicting = threading.Thread(target=keep_predicting)
        predicting.start()
        versions = [first]
        for number in range(1, 4):
            versions.append(push_model(constant_models[number], serving_dir))
            server.wait_for_version(versions[-1])
            assert label(server) == number
        done.set()
        predicting.join()

        assert {code for code, _ in responses} == {200}
        labels = [json.loads(text)["predictions"][0].index(1.0) for _, text in responses]
        assert labels == sorted(labels), "never back to an older model"
        assert status(server, versions[-1])["state"] == "AVAILABLE"
        assert status(server, versions[-2])["state"] == "END"
        assert server.metric("serving_live_version") == versions[-1]
        assert server.metric("serving_model_loads_total") == 4
        gone = server.post(f"{MODEL}/versions/{first}:predict", json={"instances": ["anything"]})
        assert gone.status_code == 404


def test_a_rollback_to_another_data_set_restores_its_classes(
    serving_dir: Path, tmp_path: Path
) -> None:
    later = SHADES.model_copy(update={"class_names": ("a", "b", "c"), "title": "Letters"})
    push_model(shade_model(tmp_path / "model"), serving_dir)
    push_model(shade_model(tmp_path / "later", later), serving_dir, later)
    with running_server(serving_dir) as server:
        assert server.get("/api/model").json()["class_names"] == ["a", "b", "c"]
        pushed, _ = store_in(serving_dir).roll_back()
        server.wait_for_version(pushed.version)
        described = server.get("/api/model").json()
        assert described["class_names"] == list(SHADES.class_names)
        assert described["title"] == SHADES.title


def test_rollback_is_followed(serving_dir: Path, constant_models: list[Path]) -> None:
    push_model(constant_models[0], serving_dir)
    push_model(constant_models[1], serving_dir)
    with running_server(serving_dir) as server:
        assert label(server) == 1
        pushed, _ = store_in(serving_dir).roll_back()
        server.wait_for_version(pushed.version)
        assert label(server) == 0


@pytest.fixture(scope="module")
def followed(
    tmp_path_factory: pytest.TempPathFactory, constant_models: list[Path]
) -> Iterator[tuple[RunningServer, Path]]:
    """A server with a model, and the directory that it watches."""
    directory = tmp_path_factory.mktemp("followed")
    push_model(constant_models[0], directory)
    with running_server(directory) as server:
        yield server, directory / DATASET.name


DAMAGED = {
    "variables": "variables/variables.index",
    "model": "saved_model.pb",
    "manifest": "release.json",
    "not loadable": "saved_model.pb",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_release_is_not_served_until_it_is_repaired(
    followed: tuple[RunningServer, Path],
    constant_models: list[Path],
    tmp_path: Path,
    damage: str,
) -> None:
    server, model_dir = followed
    before, failures = server.get("/readyz").text, _failures(server)
    live = int(server.get("/api/model").json()["version"])
    # The next push gets a higher number.
    (tmp_path / DATASET.name / str(live + 1000)).mkdir(parents=True)
    bad = push_model(constant_models[1], tmp_path)
    copy = tmp_path / DATASET.name / str(bad)
    file = copy / DAMAGED[damage]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    manifest = (copy / "release.json").read_bytes()
    if damage == "not loadable":
        (copy / "release.json").unlink()
    copy.rename(model_dir / str(bad))

    server.wait_until(lambda: _failures(server) > failures)
    told = status(server, bad)
    assert told["state"] == "END"
    code = "INTERNAL" if damage == "not loadable" else "DATA_LOSS"
    assert told["status"]["error_code"] == code
    reason = told["status"]["error_message"]
    assert f"Version {bad} is not served: {reason}" in server.log()
    assert server.get("/readyz").text == before
    time.sleep(0.5)  # It polls every 0.1 s.
    assert _failures(server) == failures + 1, "tried once"

    (model_dir / str(bad) / "release.json").write_bytes(manifest)
    (model_dir / str(bad) / DAMAGED[damage]).write_bytes(content)
    server.wait_for_version(bad)
    assert label(server) == 1


def _failures(server: RunningServer) -> int:
    return int(server.metric("serving_model_load_failures_total"))


def test_the_previous_release_is_served_if_the_newest_is_damaged_at_startup(
    serving_dir: Path, constant_models: list[Path]
) -> None:
    version = push_model(constant_models[2], serving_dir)
    newest = push_model(constant_models[1], serving_dir)
    (serving_dir / DATASET.name / str(newest) / "fingerprint.pb").unlink()
    with running_server(serving_dir) as server:
        assert server.get("/readyz").text == f"version {version}\n"
        assert "fingerprint.pb is missing" in status(server, newest)["status"]["error_message"]


def test_a_version_with_a_broken_link_is_skipped(
    serving_dir: Path, constant_models: list[Path]
) -> None:
    version = push_model(constant_models[2], serving_dir)
    newest = push_model(constant_models[1], serving_dir)
    (serving_dir / DATASET.name / str(newest) / "assets" / "link").symlink_to("nowhere")
    (serving_dir / DATASET.name / str(newest) / "variables" / "variables.index").write_text(
        "broken"
    )
    with running_server(serving_dir) as server:
        assert server.get("/readyz").text == f"version {version}\n"
        assert status(server, newest)["state"] == "END"
        assert "Traceback" not in server.log()


def test_a_model_without_a_manifest_is_served(serving_dir: Path, tmp_path: Path) -> None:
    model = constant_model(tmp_path / "model", 1, len(DATASET.class_names))
    shutil.copytree(model, serving_dir / DATASET.name / "5")
    with running_server(serving_dir) as server:
        described = server.get("/api/model").json()
        assert (described["version"], described["accuracy"]) == ("5", None)
        assert described["title"] == DATASET.title
        assert label(server) == 1


def test_a_deleted_version_is_served_until_another_is_loaded(
    serving_dir: Path, constant_models: list[Path]
) -> None:
    older = push_model(constant_models[1], serving_dir)
    version = push_model(constant_models[2], serving_dir)
    with running_server(serving_dir) as server:
        whole = serving_dir / DATASET.name
        whole.rename(serving_dir / "elsewhere")
        assert not whole.exists()
        time.sleep(0.5)  # It polls every 0.1 s.
        assert (label(server), server.get("/readyz").status_code) == (2, 200)

        shutil.rmtree(serving_dir / "elsewhere" / str(version))
        (serving_dir / "elsewhere").rename(whole)
        server.wait_for_version(older)
        assert label(server) == 1


def test_reloads_leak_no_memory(serving_dir: Path, constant_models: list[Path]) -> None:
    def reload(count: int) -> None:
        for number in range(count):
            server.wait_for_version(push_model(constant_models[number % 2], serving_dir))
            assert label(server) == number % 2

    push_model(constant_models[1], serving_dir)
    with running_server(serving_dir) as server:
        reload(RELOADS // 4)
        before = server.memory()
        reload(RELOADS)
        assert server.memory() < before + MEMORY_MIB
