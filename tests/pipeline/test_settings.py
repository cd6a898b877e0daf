"""Settings: typed, exact, and refused at once when they are wrong."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.settings import SettingsError, make_settings, read_settings_file


def test_later_layers_win() -> None:
    settings = make_settings({"epochs": 3, "seed": 1}, {"epochs": "7"})
    assert (settings.epochs, settings.seed, settings.batch_size) == (7, 1, 64)


def test_thresholds_are_exact_decimals() -> None:
    assert make_settings({"accuracy_threshold": "0.95"}).accuracy_threshold == Decimal("0.95")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_settings().epochs = 3


def test_unknown_key_is_named_with_those_that_exist() -> None:
    with pytest.raises(SettingsError, match=r"^epoch: no such setting; there are data, .*epochs"):
        make_settings({"epoch": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "0"),
        ("epochs", "many"),
        ("batch_size", "-1"),
        ("learning_rate", "0"),
        ("accuracy_threshold", "1.01"),
        ("accuracy_threshold", "nan"),
        ("max_loss", "0"),
        ("data", "imagenet"),
        ("serving_dir", "gs://bucket/models"),
        ("pipeline_root", "s3://bucket/root"),
        ("seed", str(2**31)),
    ],
)
def test_value_out_of_range_is_refused_with_its_name_and_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: .*received '{value}'"):
        make_settings({name: value})


def test_every_wrong_setting_gets_a_line() -> None:
    with pytest.raises(SettingsError) as error:
        make_settings({"epochs": 0, "colour": "red"})
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "epochs: 3\naccuracy_threshold: 0.9500000000000000000001\n"),
        ("s.yml", "{epochs: 3, accuracy_threshold: 0.9500000000000000000001}"),
        ("s.toml", "epochs = 3\naccuracy_threshold = 0.9500000000000000000001\n"),
    ],
)
def test_file_gives_the_same_settings_in_each_format(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    settings = make_settings(read_settings_file(path))
    assert settings.epochs == 3
    assert settings.accuracy_threshold == Decimal("0.9500000000000000000001")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", "{}", "ends in .yaml, .yml or .toml"),
        ("s.yaml", "a: [", "settings file .*s.yaml: while parsing"),
        ("s.yaml", "- epochs", "expected `name: value` lines"),
        ("s.toml", "epochs = ", "settings file .*s.toml: "),
    ],
)
def test_unreadable_file_gets_one_clear_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SettingsError, match=message) as error:
        read_settings_file(path)
    assert len(str(error.value).splitlines()) == 1


def test_missing_file_gets_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_settings_file(tmp_path / "absent.yaml")


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
def test_beams_options_are_split_as_by_a_shell(value: object) -> None:
    assert make_settings({"beam_args": value}).beam_args == ("--runner=DirectRunner", "--name=a b")


def test_beam_runs_in_this_process_unless_told_otherwise() -> None:
    runner, image = make_settings().beam_args
    assert runner.endswith(".FnApiRunner")
    assert image == "--sdk_container_image=unused"


def test_open_quotation_in_beams_options_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^beam_args: .*No closing quotation, received"):
        make_settings({"beam_args": "--name='a"})


def test_empty_path_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^data_dir: .*must be a path"):
        make_settings({"data_dir": ""})
