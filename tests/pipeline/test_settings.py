"""Settings are typed, exact and flat, and invalid settings are rejected immediately."""

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.model_gate.thresholds import Thresholds
from models.hyperparameters import Hyperparameters
from models.validation import Frozen
from pipeline.settings import (
    Settings,
    SettingsError,
    explain,
    make_settings,
    read_settings_file,
    setting_fields,
)


def test_later_layers_override_earlier_ones() -> None:
    settings = make_settings({"epochs": 3, "seed": 1, "recipe": "notebook"}, {"epochs": "7"})
    training = settings.training
    assert (training.epochs, training.seed, training.batch_size) == (7, 1, 64)


def test_thresholds_are_exact_decimals() -> None:
    settings = make_settings({"accuracy_threshold": "0.97"})
    assert settings.gate.accuracy_threshold == Decimal("0.97")


def test_names_are_unique_across_the_nested_models() -> None:
    models: list[type[Frozen]] = [Settings, Hyperparameters, Thresholds]
    counts = Counter(name for model in models for name in model.model_fields)
    assert set(counts.values()) == {1}
    assert setting_fields().keys() == counts.keys() - {"training", "gate"}


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in setting_fields().items() if not field.description] == []


@pytest.mark.parametrize("name", ["training", "gate"])
def test_nested_models_are_not_settings(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^unknown setting {name}; "):
        make_settings({name: {}})


def test_gate_reads_its_thresholds_from_the_settings() -> None:
    gate = make_settings({"max_loss": "0.30000000000000000001"}).gate
    assert Thresholds.from_json(gate.model_dump_json()) == gate


def test_the_message_names_rule_and_value() -> None:
    with pytest.raises(SettingsError) as error:
        make_settings({"epochs": 0})
    expected = "epochs: Input should be greater than or equal to 1, received 0"
    assert str(error.value) == expected


def test_errors_of_other_models_have_the_same_format() -> None:
    class Pod(Frozen):
        cpu: int = 1

    class Cluster(Frozen):
        pods: dict[str, Pod] = {}

    with pytest.raises(ValidationError) as error:
        Cluster(pods={"Trainer": {"cpu": None, "cpus": 2}}, image="a")  # type: ignore[call-arg]
    assert str(explain(error.value, Cluster)).splitlines() == [
        "pods.Trainer.cpu: Input should be a valid integer, received None",
        "unknown setting pods.Trainer.cpus",
        "unknown setting image; known settings: pods",
    ]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_settings().limit = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        make_settings().training.epochs = 3  # type: ignore[misc]


def test_mistyped_name_gets_a_suggestion() -> None:
    with pytest.raises(SettingsError) as error:
        make_settings({"accuracy_treshold": 0.9})
    expected = "unknown setting accuracy_treshold; did you mean accuracy_threshold?"
    assert str(error.value) == expected


def test_error_for_an_unknown_name_lists_the_known_settings() -> None:
    expected = r"^unknown setting color; known settings: data, .*epochs"
    with pytest.raises(SettingsError, match=expected):
        make_settings({"color": "red"})


def test_errors_in_a_file_name_the_file_unless_an_option_overrides_the_value(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("epoch: 3\nlimit: -1\nseed: -1\nmax_loss: 0\n")
    with pytest.raises(SettingsError) as error:
        make_settings(read_settings_file(path), {"seed": -2, "max_loss": 1})
    assert str(error.value).splitlines() == [
        f"{path}: unknown setting epoch; did you mean epochs?",
        f"{path}: limit: Input should be greater than or equal to 0, received '-1'",
        "seed: Input should be greater than or equal to 0, received -2",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "0"),
        ("epochs", "many"),
        ("batch_size", "-1"),
        ("learning_rate", "0"),
        ("accuracy_threshold", "1.01"),
        ("accuracy_threshold", "nan"),
        ("max_loss", "inf"),
        ("learning_rate", "inf"),
        ("architecture", "absent"),
        ("max_loss", "0"),
        ("data", "imagenet"),
        ("serving_dir", "gs://bucket/models"),
        ("pipeline_root", "s3://bucket/root"),
        ("seed", str(2**31)),
    ],
)
def test_error_for_a_value_out_of_range_has_name_and_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: .*received '{value}'"):
        make_settings({name: value})


def test_every_invalid_setting_gets_a_line() -> None:
    values = {"epochs": 0, "color": "red", "limit": -1, "max_loss": "x"}
    with pytest.raises(SettingsError) as error:
        make_settings(values)
    lines = str(error.value).splitlines()
    found = [line.removeprefix("unknown setting ") for line in lines]
    assert sorted(re.split("[:;]", line)[0] for line in found) == sorted(values)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "epochs: 3\naccuracy_threshold: 0.9500000000000000000001\n"),
        ("s.yml", "{epochs: 3, accuracy_threshold: 0.9500000000000000000001}"),
        ("s.toml", "epochs = 3\naccuracy_threshold = 0.9500000000000000000001\n"),
    ],
)
def test_each_file_format_has_the_same_settings(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    settings = make_settings(read_settings_file(path))
    assert settings.training.epochs == 3
    assert settings.gate.accuracy_threshold == Decimal("0.9500000000000000000001")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", "{}", "ends in .yaml, .yml or .toml"),
        ("s.yaml", "a: [", "s.yaml: while parsing"),
        ("s.yaml", "- epochs", "s.yaml: expected `name: value` lines"),
        ("s.toml", "epochs = ", "s.toml: "),
    ],
)
def test_unreadable_file_is_reported_in_one_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SettingsError, match=message) as error:
        read_settings_file(path)
    assert len(str(error.value).splitlines()) == 1


def test_missing_file_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings_file(tmp_path / "absent.yaml")
    assert str(error.value) == f"{tmp_path}/absent.yaml: No such file or directory"


@pytest.mark.parametrize("text", ["data_dir: null\n", "data_dir: ~\n"])
def test_null_in_a_file_leaves_a_setting_unset(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    assert make_settings(read_settings_file(path)) == make_settings()


def test_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert make_settings({"data_dir": "~/tfds"}).data_dir == Path("/home/someone/tfds")


@pytest.mark.parametrize(
    "value", ["--runner=DirectRunner '--name=a b'", ["--runner=DirectRunner", "--name=a b"]]
)
def test_beam_options_are_split_like_shell_words(value: object) -> None:
    assert make_settings({"beam_args": value}).beam_args == ("--runner=DirectRunner", "--name=a b")


def test_beam_runs_in_this_process_by_default() -> None:
    runner, *others = make_settings().beam_args
    assert runner.endswith(".FnApiRunner")
    assert "--sdk_container_image=unused" in others
    assert not any(other.startswith("--direct_") for other in others)


def test_open_quotation_in_beam_options_is_rejected() -> None:
    with pytest.raises(SettingsError, match=r"^beam_args: .*No closing quotation, received"):
        make_settings({"beam_args": "--name='a"})


def test_empty_path_is_rejected() -> None:
    with pytest.raises(SettingsError, match=r"^data_dir: .*must be a path"):
        make_settings({"data_dir": ""})
