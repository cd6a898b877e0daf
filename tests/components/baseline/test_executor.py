"""LiveBaseline selects the baseline from real releases."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.release_fixtures import checksum, no_check, release_facts
from support.tfx_executors import run_executor
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.types import Artifact, Channel, standard_artifacts

from components.baseline.component import LiveBaseline
from components.baseline.driver import SELECTION, Driver
from components.baseline.executor import BaselineError, Executor
from components.common.checksums import directory_sha256, model_sha256
from components.common.properties import BEST_RELEASE
from components.model_gate.best_release import BestRelease
from components.releases.manifest import RELEASE_FILE
from components.releases.store import ReleaseStore
from components.releases.writing import PushError

DATA = "f" * 64
"""The fingerprint of the toy examples."""
CONTENT = "assets/content.txt"
CANDIDATE = Channel(type=standard_artifacts.Model)
EXAMPLES = Channel(type=standard_artifacts.Examples)


class Releases:
    """Creates small models and releases them."""

    def __init__(self, toy: Any) -> None:
        directory = self.directory = toy.directory
        self._saved_model = toy.saved_model(directory / "toy")
        self.examples = toy.examples(toy.cases(right=3))
        self.serving = directory / "serving"
        self.store = ReleaseStore(self.serving / "models")
        self._clock = 1_700_000_000.0

    def model(self, content: str) -> Artifact:
        model = standard_artifacts.Model()
        model.uri = str(self.directory / content)
        saved_model = self.files(model)
        if not saved_model.exists():
            shutil.copytree(self._saved_model, saved_model)
            (saved_model / CONTENT).write_text(content)
        return model

    def push(self, content: str, correct: int | None = None, **data: Any) -> Path:
        """Releases a model that classified `correct` of 100 examples correctly."""
        self._clock += 1
        source = self.files(self.model(content))
        facts = release_facts(metrics={"correct": correct, "examples": 100})
        facts = facts.model_copy(
            update={"data": facts.data.model_copy(update={"fingerprint": DATA, **data})}
        )
        pushed = self.store.push(source, facts, checksum(source), no_check, lambda: self._clock)
        return pushed.path

    def inputs(self, candidate: str) -> dict[str, Artifact]:
        return {"candidate": self.model(candidate), "examples": self.examples}

    @property
    def parameters(self) -> dict[str, str]:
        return {"serving_dir": str(self.serving), "model_name": "models"}

    def select(self, candidate: str) -> str:
        """Runs the driver and returns the selection, which is part of TFX's cache key."""
        inputs = {name: [artifact] for name, artifact in self.inputs(candidate).items()}
        output = Driver(None).run(
            ExecutionInfo(input_dict=inputs, exec_properties=dict(self.parameters))
        )
        return output.exec_properties[SELECTION].string_value

    def find(self, candidate: str, **parameters: str) -> Artifact:
        """Runs the executor and returns its output."""
        output = standard_artifacts.Model()
        shutil.rmtree(self.directory / "outputs", ignore_errors=True)
        run_executor(
            Executor,
            self.directory / "outputs",
            self.inputs(candidate),
            {"model": output},
            {**self.parameters, **parameters},
        )
        return output

    def best(self, candidate: str) -> tuple[str, int] | None:
        """Returns the version of the best release and its number of correct predictions."""
        output = self.find(candidate)
        if not output.has_custom_property(BEST_RELEASE):
            return None
        best = BestRelease.model_validate_json(output.get_string_custom_property(BEST_RELEASE))
        assert (best.examples, best.fingerprint) == (100, DATA)
        return best.version, best.correct

    def found(self, candidate: str) -> str | None:
        """Returns the content of the selected model, None if there is no baseline."""
        output = self.find(candidate)
        if output.get_int_custom_property("absent"):
            assert not self.files(output).exists()
            return None
        return (self.files(output) / CONTENT).read_text()

    @staticmethod
    def files(model: Artifact) -> Path:
        return Path(model.uri) / "Format-Serving"


@pytest.fixture
def releases(toy: Any) -> Releases:
    return Releases(toy)


def test_the_newest_release_is_the_baseline(releases: Releases) -> None:
    releases.push("first")
    releases.push("second")
    assert releases.found("candidate") == "second"


@pytest.mark.parametrize("other", [{"class_names": ("a", "b")}, {"image_shape": (5, 6, 3)}])
def test_a_model_for_other_classes_or_images_is_skipped(
    releases: Releases, other: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    releases.push("first")
    releases.push("second", **other)
    assert releases.found("candidate") == "first"
    assert "its classes or image shape differ" in caplog.text


def test_the_output_is_a_copy_of_the_model_without_the_manifest(releases: Releases) -> None:
    version = releases.push("first")
    output = releases.find("candidate")
    files = directory_sha256(Path(output.uri))
    assert files == {
        f"Format-Serving/{name}": digest
        for name, digest in directory_sha256(version, [RELEASE_FILE]).items()
    }
    assert output.get_string_custom_property("version") == version.name
    assert output.get_string_custom_property("model_sha256") == model_sha256(
        directory_sha256(version, [RELEASE_FILE])
    )


def test_the_candidate_is_never_its_own_baseline(releases: Releases) -> None:
    releases.push("first")
    releases.push("candidate")
    assert releases.found("candidate") == "first"


def test_the_first_model_has_no_baseline(releases: Releases) -> None:
    assert releases.found("candidate") is None
    releases.push("candidate")
    assert releases.found("candidate") is None


def test_the_placeholder_for_an_absent_baseline_contains_a_file(releases: Releases) -> None:
    assert [path.name for path in Path(releases.find("candidate").uri).iterdir()] == ["absent"]


def test_damaged_and_empty_versions_are_skipped(
    releases: Releases, caplog: pytest.LogCaptureFixture
) -> None:
    releases.push("first")
    (releases.push("second") / CONTENT).write_text("other")
    (releases.store.model_dir / "1999999999").mkdir()
    assert releases.found("candidate") == "first"
    assert f"{CONTENT} has changed" in caplog.text
    assert "1999999999" in caplog.text


def test_a_rolled_back_model_is_skipped(releases: Releases) -> None:
    releases.push("first")
    releases.push("second")
    releases.store.roll_back()
    assert releases.found("candidate") == "first"
    assert releases.found("first") is None


def test_a_model_that_was_never_pushed_is_not_the_baseline(releases: Releases) -> None:
    version = releases.push("first")
    version.rename(version.with_name(f".staging-{version.name}"))
    assert releases.found("candidate") is None


def test_a_manifest_of_another_version_is_skipped(releases: Releases) -> None:
    releases.push("first")
    shutil.copytree(releases.push("second"), releases.store.model_dir / "1900000000")
    assert releases.found("candidate") == "second"
    shutil.rmtree(releases.store.model_dir / "1700000002")
    assert releases.found("candidate") == "first"


def test_the_best_release_travels_with_the_baseline(releases: Releases) -> None:
    releases.push("first", correct=97)
    best = releases.push("second", correct=99)
    releases.push("third", correct=98)
    assert releases.found("candidate") == "third"
    assert releases.best("candidate") == (best.name, 99)


def test_of_equally_good_releases_the_first_is_the_best(releases: Releases) -> None:
    first = releases.push("first", correct=99)
    releases.push("second", correct=99)
    assert releases.best("candidate") == (first.name, 99)


@pytest.mark.parametrize(
    "make_ineligible",
    [
        pytest.param(lambda releases: releases.store.roll_back(), id="rolled back"),
        pytest.param(
            lambda releases: (releases.store.model_dir / "1700000002/saved_model.pb").unlink(),
            id="damaged",
        ),
    ],
)
def test_an_ineligible_release_is_not_the_best(
    releases: Releases, make_ineligible: Callable[[Releases], object]
) -> None:
    releases.push("first", correct=97)
    releases.push("second", correct=99)
    assert releases.best("candidate") == ("1700000002", 99)
    make_ineligible(releases)
    best = releases.best("candidate")
    assert best is not None
    assert best[1] == 97


@pytest.mark.parametrize(
    ("correct", "data"),
    [(99, {"fingerprint": "0" * 64}), (99, {"fingerprint": None}), (None, {}), (101, {})],
)
def test_releases_without_counts_on_this_data_have_no_best(
    releases: Releases, correct: int | None, data: dict[str, Any]
) -> None:
    releases.push("first", correct=correct, **data)
    assert releases.found("candidate") == "first"
    assert releases.best("candidate") is None


def test_the_candidate_is_not_the_best_release(releases: Releases) -> None:
    first = releases.push("first", correct=97)
    releases.push("candidate", correct=99)
    assert releases.best("candidate") == (first.name, 97)


def test_the_push_of_the_candidate_does_not_change_its_selection(releases: Releases) -> None:
    alone = releases.select("candidate")
    releases.push("first", correct=97)
    before = releases.select("candidate")
    releases.push("candidate", correct=99)
    assert releases.select("candidate") == before != alone


@pytest.mark.parametrize("correct", [96, 98])
def test_another_push_and_a_rollback_change_the_selection(releases: Releases, correct: int) -> None:
    releases.push("first", correct=97)
    before = releases.select("candidate")
    releases.push("second", correct=correct)
    pushed = releases.select("candidate")
    releases.store.roll_back()
    assert len({before, pushed, releases.select("candidate")}) == 3


def test_the_selection_of_the_driver_is_used(releases: Releases) -> None:
    releases.push("first")
    selection = releases.select("candidate")
    releases.push("second")
    output = releases.find("candidate", selection=selection)
    assert (releases.files(output) / CONTENT).read_text() == "first"


def test_a_release_that_changed_after_its_selection_is_an_error(releases: Releases) -> None:
    version = releases.push("first")
    selection = releases.select("candidate")
    (version / "saved_model.pb").write_text("other")
    with pytest.raises(BaselineError, match=f"{version} changed while it was copied"):
        releases.find("candidate", selection=selection)


def test_a_release_that_cannot_be_run_is_named_and_can_be_withdrawn(releases: Releases) -> None:
    releases.push("first")
    (releases.directory / "toy" / "saved_model.pb").write_text("damaged before the push")
    version = releases.push("second")
    with pytest.raises(
        BaselineError,
        match=rf"^the live release {version} can't be evaluated: it can't be loaded .*"
        rf"releases rollback --serving-dir {releases.serving}`, or delete its directory",
    ):
        releases.find("candidate")
    releases.store.roll_back()
    assert releases.found("candidate") == "first"


@pytest.mark.parametrize(
    ("serving_dir", "model_name", "message"),
    [
        ("s3://bucket", "models", "The serving directory must be a local path"),
        ("/serving", "../models", "The model name must consist of"),
    ],
)
def test_an_invalid_directory_is_rejected_immediately(
    serving_dir: str, model_name: str, message: str
) -> None:
    with pytest.raises(PushError, match=message):
        LiveBaseline(CANDIDATE, EXAMPLES, serving_dir, model_name)


def test_the_output_is_a_model() -> None:
    baseline = LiveBaseline(CANDIDATE, EXAMPLES, "/serving", "models")
    assert baseline.outputs["model"].type is standard_artifacts.Model
