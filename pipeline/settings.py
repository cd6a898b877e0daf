"""What a run can be told: typed, frozen, and checked before anything starts."""

from __future__ import annotations

import shlex
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class SettingsError(ValueError):
    """A setting is unknown, malformed or out of range; the message has a line for each."""


def _local(value: Any) -> Any:
    """A Path would make gs:/bucket of gs://bucket, and a folder called ~ of ~."""
    if value is None:
        return None
    if not str(value) or "://" in str(value):
        raise ValueError("must be a path of a local or mounted file system")
    return Path(value).expanduser()


LocalPath = Annotated[Path, BeforeValidator(_local)]
Arguments = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: shlex.split(value) if isinstance(value, str) else value),
]

# In one process, on one thread: on few cores and data that fits, faster than the alternatives.
# The runner is named because Beam's default one downloads a binary, and an image is named because
# TFX would otherwise build a package of itself in each stage.
_BEAM_ARGS = (
    "--runner=apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner",
    "--sdk_container_image=unused",
)


class Settings(BaseModel):
    """Everything that a run can be told; the command line's options are made from these fields.

    Thresholds are `Decimal`, so that 0.95 means 95/100 and not the float nearest to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    data: Literal["auto", "tfds", "bundled"] = Field(
        "auto",
        description="Where MNIST comes from: tfds (70,000 images, prepared or downloaded), bundled "
        "(5,000 images, no network), or auto: tfds, and bundled where its host can't be reached.",
    )
    data_dir: LocalPath | None = Field(
        None,
        description="TFDS's data directory. Default: TFDS_DATA_DIR, else ~/tensorflow_datasets.",
    )
    limit: int = Field(
        0,
        ge=0,
        description="Keep only about this many images in all, for quick trials (with a lower "
        "--min-test-examples); 0: all.",
    )
    pipeline_root: LocalPath = Field(
        Path("output/pipeline"), description="Where artifacts, ML Metadata and logs are kept."
    )
    serving_dir: LocalPath = Field(
        Path("output/serving"),
        description="Where approved models are pushed, as <serving dir>/mnist/<version>/.",
    )
    epochs: int = Field(10, ge=1, description="Train for at most this many epochs.")
    batch_size: int = Field(64, ge=1, description="Images in one training step.")
    learning_rate: float = Field(0.001, gt=0, lt=1, description="Adam's initial learning rate.")
    seed: int = Field(42, ge=0, lt=2**31, description="Seed of weights, dropout and shuffling.")
    early_stopping_patience: int = Field(
        3, ge=1, description="Stop after this many epochs without a better validation accuracy."
    )
    reduce_lr_patience: int = Field(
        2, ge=1, description="Reduce the learning rate after this many epochs without a better one."
    )
    reduce_lr_factor: float = Field(
        0.5, gt=0, lt=1, description="What the learning rate is then multiplied by."
    )
    accuracy_threshold: Decimal = Field(
        Decimal("0.95"), ge=0, le=1, description="Block a model with a lower test accuracy."
    )
    class_recall_threshold: Decimal = Field(
        Decimal("0.90"), ge=0, le=1, description="Block it if any of the ten digits does worse."
    )
    max_loss: Decimal = Field(
        Decimal("0.25"), gt=0, description="Block a model with a higher test loss (cross-entropy)."
    )
    min_test_examples: int = Field(
        1000, ge=1, description="Block a model that was tested on fewer images."
    )
    baseline_tolerance: Decimal = Field(
        Decimal("0.005"),
        ge=0,
        le=1,
        description="Block a model whose accuracy is lower by more than this than that of the "
        "newest blessed model.",
    )
    baseline: Literal["newest", "pushed", "none"] = Field(
        "newest",
        description="Compare with the newest blessed model, with the newest pushed one (on "
        "Kubeflow), or with none (when that model can't be evaluated any more).",
    )
    schema_file: LocalPath | None = Field(
        None,
        description="What the data must satisfy, as a TFMD Schema in text format. Default: the "
        "reviewed one of the package.",
    )
    backup_dir: str | None = Field(
        None,
        description="Where the state of an unfinished training is kept; empty: nowhere. "
        "Default: <pipeline root>/backups.",
    )
    beam_args: Arguments = Field(
        _BEAM_ARGS,
        description="Apache Beam's options, all in one text, quoted as for a shell.",
    )


def read_settings_file(path: Path) -> dict[str, Any]:
    """Reads the settings of a YAML (.yaml, .yml) or TOML (.toml) file; null leaves one unset.

    Raises:
      SettingsError: the file can't be read or parsed, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            values = tomllib.loads(text, parse_float=str)
        elif path.suffix in (".yaml", ".yml"):
            # BaseLoader keeps 0.950 the string that it is, so that thresholds stay exact.
            values = yaml.load(text, Loader=yaml.BaseLoader) or {}  # noqa: S506 - makes only strings
        else:
            raise SettingsError(
                f"settings file: expected a name that ends in .yaml, .yml or .toml, received {path}"
            )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise SettingsError(
            f"settings file {path}: expected `name: value` lines, received {text!r}"
        )
    return {name: value for name, value in values.items() if value not in ("null", "~")}


def make_settings(*layers: dict[str, Any]) -> Settings:
    """Makes settings from layers of values; a later layer wins over an earlier one.

    Raises:
      SettingsError: one line for each unknown key and each value that breaks its rule.
    """
    values = {key: value for layer in layers for key, value in layer.items()}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise explain(error, Settings) from error


def explain(error: ValidationError, model: type[BaseModel]) -> SettingsError:
    """Says what is wrong with settings, in one line for each unknown key and each wrong value."""
    return SettingsError("\n".join(_line(dict(problem), model) for problem in error.errors()))


def _line(problem: dict[str, Any], model: type[BaseModel]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = f"; there are {', '.join(model.model_fields)}" if len(problem["loc"]) == 1 else ""
        return f"{name}: no such setting{known}"
    return f"{name}: {problem['msg']}, received {problem['input']!r}"
