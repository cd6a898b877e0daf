from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.release_fixtures import checksum, no_check, release_facts

from components.common.provenance import Data, Git
from components.model_gate.checks import Check
from components.releases.manifest import RELEASE_FILE, Training
from components.releases.store import ReleaseStore
from models.definition import DATASET
from pipeline.cli.releases import releases

TRAINING = Training(
    hyperparameters={"recipe": "augmented"},
    epochs=10,
    best_epoch=9,
    precision="bfloat16",
    hardware="Abacus, 2 threads, no GPU",
)


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    """Two releases: 100 with accuracy 97.8%, then 200 with accuracy 99.38%."""
    for version, accuracy in {100: 0.978, 200: 0.9938}.items():
        model = tmp_path / f"model-{version}"
        model.mkdir()
        (model / "saved_model.pb").write_text(f"model {version}")

        check = Check(
            name="accuracy",
            rule="at least",
            threshold=0.95,
            value=accuracy,
            passed=True,
            detail="9,938 of 10,000",
        )
        facts = release_facts(
            metrics={"accuracy": accuracy, "baseline_accuracy": None},
            checks=(check,),
            data=Data(source="tfds:mnist/3.0.1", fingerprint="f00d", counts={"train": 54000}),
            git=Git(commit="c0ffee", dirty=True),
            packages={"tfx": "1.16.0"},
            training=TRAINING if version == 200 else None,
        )
        store = ReleaseStore(tmp_path / "serving" / DATASET.name)
        clock = lambda version=version: float(version)  # noqa: E731
        store.push(model, facts, checksum(model), no_check, clock)
    return tmp_path / "serving"


def call(serving: Path, *arguments: str) -> Result:
    return CliRunner().invoke(releases, ["--serving-dir", str(serving), *arguments])


def test_list_shows_accuracy_time_with_zone_data_and_the_live_release(serving: Path) -> None:
    result = call(serving)
    assert result.exit_code == 0
    _, older, live = result.output.splitlines()
    pushed = datetime.fromtimestamp(100, timezone.utc).astimezone()
    when = f"{pushed:%Y-%m-%d %H:%M %Z}"
    assert older.split() == ["100", *when.split(), "97.80%", "tfds:mnist/3.0.1", "54,000"]
    assert live.split()[-1] == "live"
    assert "99.38%" in live


def test_list_as_json(serving: Path) -> None:
    older, live = json.loads(call(serving, "--json").output)
    metrics = {"accuracy": 0.978, "baseline_accuracy": None}
    assert (older["version"], older["live"], older["metrics"]) == (100, False, metrics)
    assert (live["version"], live["live"], live["data"]["fingerprint"]) == (200, True, "f00d")


def test_list_continues_after_a_missing_manifest(serving: Path) -> None:
    (serving / DATASET.name / "100" / RELEASE_FILE).unlink()
    result = call(serving)
    assert result.exit_code == 0
    assert "Can't read" in result.output
    assert "99.38%" in result.output
    assert "Can't read" in json.loads(call(serving, "--json").output)[0]["error"]


def test_empty_list_shows_how_to_push_a_release(tmp_path: Path) -> None:
    result = call(tmp_path)
    assert result.exit_code == 0
    assert "push one with `make run`" in result.output
    assert json.loads(call(tmp_path, "--json").output) == []


@pytest.mark.parametrize("version", ["200", "live"])
def test_show_prints_the_facts_of_the_manifest(serving: Path, version: str) -> None:
    result = call(serving, "show", version)
    assert result.exit_code == 0
    assert "200 (live)" in result.output
    assert "passed: accuracy 99.38% ≥ 95% (9,938 of 10,000)" in result.output
    assert "metrics     accuracy 99.38%\n" in result.output
    assert "None" not in result.output
    assert "c0ffee with uncommitted changes" in result.output
    assert "f00d" in result.output


def test_show_describes_the_training_if_the_manifest_does(serving: Path) -> None:
    assert (
        "training    recipe augmented, precision bfloat16, exported epoch 9 of 10\n"
        "hardware    Abacus, 2 threads, no GPU\n"
    ) in call(serving, "show", "200").output
    assert "training" not in call(serving, "show", "100").output
    (old, new) = json.loads(call(serving, "--json").output)
    assert (old["training"], new["training"]["epochs"]) == (None, 10)


def test_show_as_json_is_the_manifest(serving: Path) -> None:
    manifest = (serving / DATASET.name / "100" / RELEASE_FILE).read_text()
    assert call(serving, "show", "100", "--json").output == manifest


@pytest.mark.parametrize("command", ["show", "verify"])
@pytest.mark.parametrize("version", ["7", "newest", "-1"])
def test_unknown_version_is_a_usage_error(serving: Path, command: str, version: str) -> None:
    result = call(serving, command, "--", version)
    assert result.exit_code == 2
    assert f"expected live or one of the versions 100, 200, received {version}" in result.output


def test_verify_finds_all_releases_ok(serving: Path) -> None:
    result = call(serving, "verify")
    assert result.exit_code == 0
    assert result.output == "100: OK\n200: OK\n"


def test_verify_names_each_damage(serving: Path) -> None:
    (serving / DATASET.name / "100" / "saved_model.pb").write_text("other")
    (serving / DATASET.name / "200" / "stray").write_text("")
    result = call(serving, "verify")
    assert result.exit_code == 1
    assert result.output == (
        "Error: 100: saved_model.pb has changed\nError: 200: stray is not in the manifest\n"
    )
    (serving / DATASET.name / "200" / "stray").unlink()
    assert call(serving, "verify", "live").exit_code == 0
    assert call(serving, "verify", "100").exit_code == 1


def test_verify_and_show_need_a_manifest(serving: Path) -> None:
    (serving / DATASET.name / "100" / RELEASE_FILE).write_text("{}")
    for command in ("verify", "show"):
        result = call(serving, command, "100")
        assert result.exit_code == 1
        assert "Expected a release manifest" in result.output


def test_verify_of_nothing_fails(tmp_path: Path) -> None:
    result = call(tmp_path, "verify")
    assert result.exit_code == 1
    assert "no releases found in " in result.output


def test_rollback_is_shown_in_the_list(serving: Path) -> None:
    result = call(serving, "rollback", "--reason", "4 and 9")
    assert result.exit_code == 0
    assert "from version 200 to the model of version 100" in result.output
    last = call(serving).output.splitlines()[-1]
    assert "97.80%" in last
    assert last.endswith("live; rolled back from 200 to 100: 4 and 9")
    assert "rolled back from 200 to 100: 4 and 9" in call(serving, "show", "live").output


@pytest.mark.parametrize("arguments", [["--to", "200"], ["--to", "7"]])
def test_impossible_rollback_fails_in_one_line(serving: Path, arguments: list[str]) -> None:
    result = call(serving, "rollback", *arguments)
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert sorted(path.name for path in (serving / DATASET.name).iterdir()) == [
        ".push.lock",
        "100",
        "200",
    ]


def test_it_starts_without_tensorflow_and_tfx(serving: Path) -> None:
    code = (
        "import sys; from pipeline.cli.releases import releases\n"
        f"releases(['--serving-dir', {str(serving)!r}, 'rollback'], standalone_mode=False)\n"
        "print(sorted({'tensorflow', 'tfx', 'apache_beam'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
