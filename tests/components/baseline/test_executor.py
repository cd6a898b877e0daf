"""PushedBaseline selects the baseline from real releases, without a Resolver."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.release_fixtures import no_check, release_facts
from support.tfx_executors import run_executor
from tfx.types import Artifact, Channel, standard_artifacts

from components.baseline.component import PushedBaseline
from components.baseline.executor import Executor, newest_other_release
from components.common.checksums import directory_sha256, model_sha256
from components.releases.manifest import RELEASE_FILE
from components.releases.store import ReleaseStore
from components.releases.writing import PushError


class Releases:
    """Creates small models and releases them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.serving = directory / "serving"
        self.store = ReleaseStore(self.serving / "models")
        self._clock = 1_700_000_000.0

    def model(self, content: str) -> Artifact:
        model = standard_artifacts.Model()
        model.uri = str(self.directory / content)
        saved_model = self._files(model)
        if not saved_model.exists():
            (saved_model / "variables").mkdir(parents=True)
            (saved_model / "saved_model.pb").write_text(content)
            (saved_model / "variables" / "data").write_text(content * 1000)
        return model

    def push(self, content: str, **data: object) -> Path:
        self._clock += 1
        source = self._files(self.model(content))
        facts = release_facts()
        facts = facts.model_copy(update={"data": facts.data.model_copy(update=data)})
        pushed = self.store.push(source, facts, no_check, lambda: self._clock)
        return pushed.path

    def find(self, candidate: str) -> Artifact:
        """Runs the executor and returns its output."""
        output = standard_artifacts.Model()
        shutil.rmtree(self.directory / "outputs", ignore_errors=True)
        run_executor(
            Executor,
            self.directory / "outputs",
            {"candidate": self.model(candidate)},
            {"model": output},
            {"serving_dir": str(self.serving), "model_name": "models"},
        )
        return output

    def found(self, candidate: str) -> str | None:
        """Returns the content of the selected model, None if there is no baseline."""
        output = self.find(candidate)
        if output.get_int_custom_property("absent"):
            assert not self._files(output).exists()
            return None
        return (self._files(output) / "saved_model.pb").read_text()

    @staticmethod
    def _files(model: Artifact) -> Path:
        return Path(model.uri) / "Format-Serving"


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path)


def test_the_newest_release_is_the_baseline(releases: Releases) -> None:
    releases.push("first")
    releases.push("second")
    assert releases.found("candidate") == "second"


@pytest.mark.parametrize("other", [{"class_names": ("a", "b")}, {"image_shape": (5, 6, 3)}])
def test_a_model_for_other_classes_or_images_is_skipped(
    releases: Releases, other: dict[str, object], caplog: pytest.LogCaptureFixture
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
    (releases.push("second") / "variables" / "data").write_text("other")
    (releases.store.model_dir / "1999999999").mkdir()
    assert releases.found("candidate") == "first"
    assert "variables/data has changed" in caplog.text
    assert "1999999999" in caplog.text


def test_a_rolled_back_model_is_skipped(releases: Releases) -> None:
    releases.push("first")
    releases.push("second")
    releases.store.roll_back()
    assert releases.found("candidate") == "first"
    assert releases.found("first") is None


def test_an_unpublished_release_is_ignored(releases: Releases) -> None:
    version = releases.push("first")
    version.rename(version.with_name(f".staging-{version.name}"))
    assert newest_other_release(releases.store, "") is None


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
    candidate = Channel(type=standard_artifacts.Model)
    with pytest.raises(PushError, match=message):
        PushedBaseline(candidate, serving_dir, model_name)


def test_the_output_is_a_model() -> None:
    baseline = PushedBaseline(Channel(type=standard_artifacts.Model), "/serving", "models")
    assert baseline.outputs["model"].type is standard_artifacts.Model
