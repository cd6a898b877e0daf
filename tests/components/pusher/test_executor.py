from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types import Channel, standard_artifacts

from components.common.checksums import directory_sha256, model_sha256
from components.common.errors import ModelRejectedError
from components.model_gate.rules import VERDICT_FILE, Confusion, Evaluated, Verdict, judge
from components.model_gate.thresholds import Thresholds
from components.pusher.component import Pusher
from components.pusher.executor import Executor
from components.releases.manifest import read_release
from components.releases.store import ReleaseStore
from components.releases.writing import PushError


class Stage:
    """A Pusher's inputs, with a gate's verdict on them."""

    def __init__(self, toy: Any) -> None:
        self.model = toy.model(model_id=5)
        self.examples = toy.examples(toy.questions(right=20))
        self.blessing = standard_artifacts.ModelBlessing()
        self.blessing.uri = str(toy.directory / "blessing")
        self.blessing.id = 6
        self.serving = toy.directory / "serving"
        Path(self.blessing.uri).mkdir()
        self.judge(right=100)

    @property
    def saved_model(self) -> Path:
        return Path(self.model.uri) / "Format-Serving"

    def judge(self, right: int) -> Verdict:
        """Of a hundred examples."""
        confusion = Confusion(("a", "b"), ((right - 50, 100 - right), (0, 50)), (0, 0))
        verdict = judge(
            Evaluated(confusion, 0.1, 1.0),
            None,
            Thresholds.model_validate({"class_recall_threshold": 0, "min_test_examples": 100}),
            model_sha256(directory_sha256(self.saved_model)),
        )
        self.blessing.set_int_custom_property("blessed", int(verdict.blessed))
        (Path(self.blessing.uri) / VERDICT_FILE).write_text(verdict.to_json())
        return verdict

    def push(self) -> Any:
        pushed = standard_artifacts.PushedModel()
        Executor().Do(
            {"model": [self.model], "blessing": [self.blessing], "examples": [self.examples]},
            {"pushed_model": [pushed]},
            {"serving_dir": str(self.serving), "model_name": "models"},
        )
        return pushed

    def versions(self) -> list[str]:
        return sorted(path.name for path in self.serving.glob("models/[0-9]*"))


@pytest.fixture
def stage(toy: Any) -> Stage:
    return Stage(toy)


def test_blessed_model_is_pushed(stage: Stage) -> None:
    pushed = stage.push()
    (version,) = stage.versions()
    destination = stage.serving / "models" / version
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_int_custom_property("up_to_date") == 0
    assert pushed.get_string_custom_property("pushed_version") == version
    assert pushed.get_string_custom_property("pushed_destination") == str(destination)
    assert directory_sha256(destination, ["release.json"]) == directory_sha256(stage.saved_model)


def test_manifest_tells_where_the_model_comes_from(stage: Stage) -> None:
    verdict = stage.judge(right=96)
    release = read_release(Path(stage.push().get_string_custom_property("pushed_destination")))
    assert release.model == "models"
    assert release.model_sha256 == verdict.model_sha256
    assert release.metrics == verdict.metrics
    assert release.checks == verdict.checks
    assert release.data.source == "toy"
    assert release.data.fingerprint == "f" * 64
    assert release.data.counts == {"test": 20}
    assert {role: artifact.id for role, artifact in release.ml_metadata.items()} == {
        "model": 5,
        "blessing": 6,
        "examples": 7,
    }
    assert release.ml_metadata["model"].uri == stage.model.uri
    assert release.ml_metadata["model"].type == "Model"
    assert "tensorflow" in release.packages


def test_examples_without_origin_are_said_to_have_none(stage: Stage) -> None:
    unknown = standard_artifacts.Examples()
    unknown.uri, unknown.split_names = stage.examples.uri, stage.examples.split_names
    stage.examples = unknown
    release = read_release(Path(stage.push().get_string_custom_property("pushed_destination")))
    assert (release.data.source, release.data.fingerprint) == (None, None)
    assert release.data.counts == {}


def test_second_push_is_up_to_date(stage: Stage) -> None:
    first, again = stage.push(), stage.push()
    assert again.get_int_custom_property("pushed") == 0
    assert again.get_int_custom_property("up_to_date") == 1
    for name in ("pushed_version", "pushed_destination"):
        assert again.get_string_custom_property(name) == first.get_string_custom_property(name)
    assert len(stage.versions()) == 1


def test_model_that_a_rollback_withdrew_is_rejected(stage: Stage) -> None:
    stage.push()
    (stage.saved_model / "assets.extra").touch()
    stage.judge(right=100)
    stage.push()
    ReleaseStore(stage.serving / "models").roll_back()
    with pytest.raises(
        ModelRejectedError, match=r"^a rollback to version .* Nothing was pushed\. "
    ):
        stage.push()
    assert len(stage.versions()) == 3


def test_model_that_is_not_blessed_is_rejected_and_the_served_one_stays(stage: Stage) -> None:
    stage.push()
    before = stage.versions()
    (stage.saved_model / "assets.extra").touch()
    stage.judge(right=94)
    with pytest.raises(
        ModelRejectedError,
        match=r"^accuracy 94% is below the 95% gate \(94 of 100\)\. Nothing was pushed\.$",
    ):
        stage.push()
    assert stage.versions() == before


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_model_without_verdict_is_rejected(stage: Stage, text: str | None) -> None:
    verdict = Path(stage.blessing.uri) / VERDICT_FILE
    verdict.unlink() if text is None else verdict.write_text(text)
    with pytest.raises(ModelRejectedError, match="the gate's verdict can't be"):
        stage.push()
    assert stage.versions() == []


def test_verdict_edited_to_bless_is_rejected(stage: Stage) -> None:
    stage.judge(right=94)
    path = Path(stage.blessing.uri) / VERDICT_FILE
    edited = json.loads(path.read_text()) | {"blessed": True}
    path.write_text(json.dumps(edited))
    with pytest.raises(
        ModelRejectedError, match=r"Expected a verdict that follows from its checks"
    ):
        stage.push()


def test_model_that_ml_metadata_does_not_bless_is_rejected(stage: Stage) -> None:
    stage.blessing.set_int_custom_property("blessed", 0)
    with pytest.raises(ModelRejectedError, match="blesses the model, but ML Metadata doesn't"):
        stage.push()


def test_model_other_than_the_judged_one_is_rejected(stage: Stage) -> None:
    (stage.saved_model / "variables" / "variables.index").write_bytes(b"swapped")
    with pytest.raises(
        ModelRejectedError, match=r"the gate judged the model with SHA-256 [0-9a-f]"
    ):
        stage.push()
    assert stage.versions() == []


def test_model_that_can_not_be_served_is_not_pushed(stage: Stage) -> None:
    (stage.saved_model / "variables" / "variables.index").write_bytes(b"damaged")
    stage.judge(right=100)
    with pytest.raises(PushError, match="The model can't be served; nothing was pushed"):
        stage.push()
    assert stage.versions() == []


def test_component_refuses_a_url_at_once() -> None:
    with pytest.raises(PushError, match="received 'gs://bucket'"):
        Pusher(
            model=Channel(type=standard_artifacts.Model),
            blessing=Channel(type=standard_artifacts.ModelBlessing),
            examples=Channel(type=standard_artifacts.Examples),
            serving_dir="gs://bucket",
            model_name="models",
        )
