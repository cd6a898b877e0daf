from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.behaviors import good_behavior
from support.report_inputs import EPOCHS, make_history
from tfx.types import Channel, standard_artifacts

from components.common.checksums import directory_sha256, model_sha256
from components.common.errors import ModelRejectedError
from components.model_gate.rules import VERDICT_FILE, Confusion, Evaluated, Verdict, decide
from components.model_gate.thresholds import Thresholds
from components.pusher import executor
from components.pusher.component import Pusher
from components.pusher.executor import Executor
from components.releases.manifest import Training, read_release
from components.releases.store import ReleaseStore
from components.releases.writing import PushError
from models.definition import DATASET
from models.progress import HISTORY_FILE


class PusherInputs:
    """Artifacts for the Pusher: a model, examples and a verdict of the gate."""

    def __init__(self, toy: Any) -> None:
        self.model = toy.model(model_id=5)
        self.examples = toy.examples(toy.cases(right=20))
        self.model_run = standard_artifacts.ModelRun()
        self.model_run.uri = str(toy.directory / "model_run")
        self.model_run.id = 8
        self.history = Path(self.model_run.uri) / HISTORY_FILE
        self.history.parent.mkdir()
        self.history.write_text(json.dumps(make_history(EPOCHS, best_epoch=2)))
        self.blessing = standard_artifacts.ModelBlessing()
        self.blessing.uri = str(toy.directory / "blessing")
        self.blessing.id = 6
        self.serving = toy.directory / "serving"
        Path(self.blessing.uri).mkdir()
        self.write_verdict(right=100)

    @property
    def saved_model(self) -> Path:
        return Path(self.model.uri) / "Format-Serving"

    def write_verdict(self, right: int) -> Verdict:
        """Writes the verdict for a model with `right` of 100 examples correct."""
        confusion = Confusion(("a", "b"), ((right - 50, 100 - right), (0, 50)), (0, 0))
        verdict = decide(
            Evaluated(confusion, 0.1, 1.0),
            good_behavior(),
            Thresholds.model_validate({"class_recall_threshold": 0, "min_test_examples": 100}),
            model_sha256(directory_sha256(self.saved_model)),
        )
        self.blessing.set_int_custom_property("blessed", int(verdict.blessed))
        (Path(self.blessing.uri) / VERDICT_FILE).write_text(verdict.to_json())
        return verdict

    def push(self) -> Any:
        pushed = standard_artifacts.PushedModel()
        Executor().Do(
            {
                "model": [self.model],
                "model_run": [self.model_run],
                "blessing": [self.blessing],
                "examples": [self.examples],
            },
            {"pushed_model": [pushed]},
            {
                "serving_dir": str(self.serving),
                "model_name": "models",
                "hyperparameters": json.dumps({"recipe": "augmented", "epochs": 9}),
            },
        )
        return pushed

    def versions(self) -> list[str]:
        return sorted(path.name for path in self.serving.glob("models/[0-9]*"))


@pytest.fixture
def inputs(toy: Any) -> PusherInputs:
    return PusherInputs(toy)


def test_a_blessed_model_is_pushed(inputs: PusherInputs) -> None:
    pushed = inputs.push()
    (version,) = inputs.versions()
    destination = inputs.serving / "models" / version
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_int_custom_property("up_to_date") == 0
    assert pushed.get_string_custom_property("pushed_version") == version
    assert pushed.get_string_custom_property("pushed_destination") == str(destination)
    assert directory_sha256(destination, ["release.json"]) == directory_sha256(inputs.saved_model)


def test_the_manifest_records_provenance(inputs: PusherInputs) -> None:
    verdict = inputs.write_verdict(right=96)
    release = read_release(Path(inputs.push().get_string_custom_property("pushed_destination")))
    assert release.model == "models"
    assert release.model_sha256 == verdict.model_sha256
    assert release.metrics == verdict.metrics
    assert release.checks == verdict.checks
    assert release.data.source == "toy"
    assert release.data.fingerprint == "f" * 64
    assert release.data.counts == {"test": 20}
    assert {role: artifact.id for role, artifact in release.ml_metadata.items()} == {
        "model": 5,
        "model_run": 8,
        "blessing": 6,
        "examples": 7,
    }
    assert release.ml_metadata["model"].uri == inputs.model.uri
    assert release.ml_metadata["model"].type == "Model"
    assert "tensorflow" in release.packages


def test_the_manifest_describes_the_training(inputs: PusherInputs) -> None:
    release = read_release(Path(inputs.push().get_string_custom_property("pushed_destination")))
    assert release.training == Training(
        hyperparameters={"recipe": "augmented", "epochs": 9},
        epochs=2,
        best_epoch=2,
        precision="bfloat16",
        hardware="Abacus, 2 threads, no GPU",
    )


@pytest.mark.parametrize("text", [None, "", "{}", '{"best_epoch": "x", "epochs": []}'])
def test_an_unreadable_history_does_not_stop_the_push(
    inputs: PusherInputs, text: str | None
) -> None:
    inputs.history.unlink() if text is None else inputs.history.write_text(text)
    release = read_release(Path(inputs.push().get_string_custom_property("pushed_destination")))
    assert release.training is None


def test_missing_artifact_properties_are_recorded_as_unknown(inputs: PusherInputs) -> None:
    unknown = standard_artifacts.Examples()
    unknown.uri, unknown.split_names = inputs.examples.uri, inputs.examples.split_names
    inputs.examples = unknown
    release = read_release(Path(inputs.push().get_string_custom_property("pushed_destination")))
    assert (release.data.source, release.data.fingerprint) == (None, None)
    assert release.data.counts == {}


def test_a_second_push_is_up_to_date(inputs: PusherInputs) -> None:
    first, second = inputs.push(), inputs.push()
    assert second.get_int_custom_property("pushed") == 0
    assert second.get_int_custom_property("up_to_date") == 1
    for name in ("pushed_version", "pushed_destination"):
        assert second.get_string_custom_property(name) == first.get_string_custom_property(name)
    assert len(inputs.versions()) == 1


def test_a_rolled_back_model_is_rejected(inputs: PusherInputs) -> None:
    inputs.push()
    (inputs.saved_model / "assets.extra").touch()
    inputs.write_verdict(right=100)
    inputs.push()
    ReleaseStore(inputs.serving / "models").roll_back()
    with pytest.raises(
        ModelRejectedError,
        match=r"^this model, version .* was rolled back to .* Nothing was pushed\. ",
    ):
        inputs.push()
    assert len(inputs.versions()) == 3


def test_a_model_that_is_not_blessed_is_rejected(inputs: PusherInputs) -> None:
    inputs.push()
    before = inputs.versions()
    (inputs.saved_model / "assets.extra").touch()
    inputs.write_verdict(right=94)
    with pytest.raises(
        ModelRejectedError,
        match=r"^accuracy 94% is below the 95% gate \(94 of 100\)\. Nothing was pushed\.$",
    ):
        inputs.push()
    assert inputs.versions() == before


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_a_model_without_a_verdict_is_rejected(inputs: PusherInputs, text: str | None) -> None:
    verdict = Path(inputs.blessing.uri) / VERDICT_FILE
    verdict.unlink() if text is None else verdict.write_text(text)
    with pytest.raises(ModelRejectedError, match="the gate's verdict can't be"):
        inputs.push()
    assert inputs.versions() == []


def test_a_verdict_edited_to_bless_the_model_is_rejected(inputs: PusherInputs) -> None:
    inputs.write_verdict(right=94)
    path = Path(inputs.blessing.uri) / VERDICT_FILE
    edited = json.loads(path.read_text()) | {"blessed": True}
    path.write_text(json.dumps(edited))
    with pytest.raises(ModelRejectedError, match=r"Expected a verdict that matches its evidence"):
        inputs.push()


def test_a_model_that_ml_metadata_does_not_bless_is_rejected(inputs: PusherInputs) -> None:
    inputs.blessing.set_int_custom_property("blessed", 0)
    with pytest.raises(ModelRejectedError, match="blesses the model, but its blessing in ML"):
        inputs.push()


def test_a_model_other_than_the_evaluated_one_is_rejected(inputs: PusherInputs) -> None:
    (inputs.saved_model / "variables" / "variables.index").write_bytes(b"swapped")
    with pytest.raises(
        ModelRejectedError, match=r"^expected the model with SHA-256 [0-9a-f]{64}, but .* has SHA"
    ):
        inputs.push()
    assert inputs.versions() == []


def test_a_swapped_model_is_rejected_although_the_expected_one_is_live(
    inputs: PusherInputs,
) -> None:
    inputs.push()
    (inputs.saved_model / "variables" / "variables.index").write_bytes(b"swapped")
    with pytest.raises(ModelRejectedError, match=r"^expected the model with SHA-256"):
        inputs.push()
    assert len(inputs.versions()) == 1


def test_a_model_with_a_symbolic_link_is_rejected(inputs: PusherInputs) -> None:
    (inputs.saved_model / "assets").mkdir(exist_ok=True)
    (inputs.saved_model / "assets" / "words.txt").symlink_to(inputs.history)
    inputs.write_verdict(right=100)
    with pytest.raises(
        ModelRejectedError, match=r"must not contain symbolic links, received assets/words\.txt\."
    ):
        inputs.push()
    assert inputs.versions() == []


def test_a_model_that_fails_the_smoke_check_is_not_pushed(inputs: PusherInputs) -> None:
    (inputs.saved_model / "variables" / "variables.index").write_bytes(b"damaged")
    inputs.write_verdict(right=100)
    with pytest.raises(
        ModelRejectedError,
        match=r"^the model can't be served: it can't be loaded \(.*\)\. Nothing was pushed\.$",
    ):
        inputs.push()
    assert inputs.versions() == []


def test_a_push_without_test_examples_is_an_error(inputs: PusherInputs) -> None:
    shutil.rmtree(Path(inputs.examples.uri) / "Split-test")
    with pytest.raises(PushError, match="The smoke check needs at least one test example"):
        inputs.push()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("models.pictures.no_such", "Expected the name of a function in models"),
        ("models.pictures.PictureError", "Expected Prepared with views of shape"),
    ],
)
def test_invalid_picture_preprocessing_is_an_error(
    inputs: PusherInputs, monkeypatch: pytest.MonkeyPatch, path: str, problem: str
) -> None:
    changed = DATASET.model_copy(update={"picture_preprocessing": path})
    monkeypatch.setattr(executor, "DATASET", changed)
    with pytest.raises(PushError, match=rf"^picture_preprocessing: {problem}"):
        inputs.push()


def test_the_component_rejects_a_url_immediately() -> None:
    with pytest.raises(PushError, match="received 'gs://bucket'"):
        Pusher(
            model=Channel(type=standard_artifacts.Model),
            model_run=Channel(type=standard_artifacts.ModelRun),
            blessing=Channel(type=standard_artifacts.ModelBlessing),
            examples=Channel(type=standard_artifacts.Examples),
            serving_dir="gs://bucket",
            model_name="models",
        )
