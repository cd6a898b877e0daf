"""The settings of a run: typed, immutable, and validated before the run starts."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo

from components.common.errors import describe_os_error
from components.data_gate.schema import schema_problems
from components.model_gate.thresholds import Thresholds
from models.definition import DATASET
from models.hyperparameters import Hyperparameters
from models.validation import Frozen, problems

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


SCHEMA_FILE = Path(__file__).with_name("schema.pbtxt")
"""The reviewed schema."""


class SettingsError(ValueError):
    """Settings are unknown, malformed or out of range. The message has one line for each."""


class Layer(dict[str, Any]):
    """Values by setting, from one source.

    Attributes:
      locate: adds the source to an error, such as "settings.yaml: " before "epochs: ...".
    """

    def __init__(self, values: Mapping[str, Any], locate: Callable[[str], str]) -> None:
        super().__init__(values)
        self.locate = locate


def _local(value: Any) -> Any:
    """Expands ~ and rejects URLs, which Path would corrupt."""
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

# One process and one thread: the fastest choice on few cores and data that fits in memory.
# Beam's default runner would download a binary. Without an image name, TFX would package its own
# source code in each stage. The others shorten the construction of Beam's graphs, which takes
# StatisticsGen longer than 70,000 images: cloudpickle is faster than dill, and the types of TFX's
# own graphs need no check.
_BEAM_ARGS = (
    "--runner=apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner",
    "--sdk_container_image=unused",
    "--pickle_library=cloudpickle",
    "--no_pipeline_type_check",
)


def _data_description() -> str:
    sample = DATASET.bundled_sample
    if sample is None:
        return f"Source of {DATASET.title}: tfds, prepared or downloaded. No sample is bundled."
    return (
        f"Source of {DATASET.title}: tfds (prepared or downloaded), bundled (the sample in "
        f"{sample.package}, no network), or auto (bundled only if tfds can't be reached)."
    )


class Settings(Frozen):
    """All settings of a run.

    Users omit the section of nested settings: `epochs` instead of `training.epochs` (see
    `make_settings` and `setting_fields`).
    """

    data: Literal["auto", "tfds", "bundled"] = Field("auto", description=_data_description())
    data_dir: LocalPath | None = Field(
        None,
        description="TFDS data directory. Default: TFDS_DATA_DIR, else ~/tensorflow_datasets.",
    )
    limit: int = Field(
        0,
        ge=0,
        description="Keep only about this many images, for quick trials (with a lower "
        "--min-test-examples). 0 keeps all.",
    )
    pipeline_root: LocalPath = Field(
        Path("output/pipeline"), description="Directory for artifacts, ML Metadata and logs."
    )
    serving_dir: LocalPath = Field(
        Path("output/serving"),
        description="Directory to push approved models to, as "
        f"<serving dir>/{DATASET.name}/<version>/.",
    )
    training: Hyperparameters = Hyperparameters()
    gate: Thresholds = Thresholds()
    baseline: Literal["live", "none"] = Field(
        "live", description="Model to compare with: the live release, or none."
    )
    schema_file: LocalPath | None = Field(
        None,
        description="Schema that the data must satisfy, a TFMD Schema in text format. Default: "
        f"pipeline/{SCHEMA_FILE.name}.",
    )
    backup_dir: str | None = Field(
        None,
        description="Directory for the state of unfinished training. Empty disables backups. "
        "Default: <pipeline root>/backups.",
    )
    beam_args: Arguments = Field(
        _BEAM_ARGS,
        description="Apache Beam options in one string, quoted as for a shell. Default: Beam's "
        "FnApiRunner, in the process of the run.",
    )


_SECTIONS: dict[str, type[Frozen]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Frozen)
}
"""The nested models, by their field of `Settings`."""


def setting_fields() -> dict[str, FieldInfo]:
    """Returns the fields of Settings and of its nested models, by the names that users write."""
    return {
        name: field
        for top, top_field in Settings.model_fields.items()
        for name, field in (
            _SECTIONS[top].model_fields if top in _SECTIONS else {top: top_field}
        ).items()
    }


def read_settings_file(path: Path) -> Layer:
    """Reads settings from a YAML (.yaml, .yml) or TOML (.toml) file; null means not set.

    Raises:
      SettingsError: the file can't be read or parsed, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            values = tomllib.loads(text, parse_float=str)
        elif path.suffix in (".yaml", ".yml"):
            # BaseLoader reads 0.950 as a string, so that thresholds stay exact.
            values = yaml.load(text, Loader=yaml.BaseLoader) or {}  # noqa: S506 - creates only strings
        else:
            raise SettingsError(f"{path}: expected a name that ends in .yaml, .yml or .toml")
    except OSError as error:
        raise SettingsError(describe_os_error(error)) from error
    except (UnicodeDecodeError, yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: expected `name: value` lines, received {text!r:.100}")
    given = {name: value for name, value in values.items() if value not in ("null", "~")}
    return Layer(given, lambda line: f"{path}: {line}")


def make_settings(*layers: Mapping[str, Any]) -> Settings:
    """Creates settings from layers of flat values; later layers override earlier ones.

    Raises:
      SettingsError: one line for each unknown name and each invalid value.
    """
    values = {name: value for layer in layers for name, value in layer.items()}
    known = setting_fields()
    lines = [_unknown(name, known) for name in values if name not in known]
    sections = {
        section: {name: values[name] for name in model.model_fields if name in values}
        for section, model in _SECTIONS.items()
    }
    top = {name: values[name] for name in Settings.model_fields if name in known and name in values}
    try:
        settings = Settings(**top, **sections)
    except ValidationError as error:
        lines += map(_without_section, problems(error))
    if lines:
        raise SettingsError("\n".join(_located(line, layers) for line in lines))
    return settings


def explain(
    error: ValidationError, model: type[BaseModel], layers: Iterable[Mapping[str, Any]] = ()
) -> SettingsError:
    """Describes each unknown name and each invalid value in one line.

    Args:
      error: the error raised by validating `model`.
      model: the settings class.
      layers: the sources of the values; later layers override earlier ones.
    """
    lines = (
        _unknown(line.partition(":")[0], model.model_fields if len(details["loc"]) == 1 else ())
        if details["type"] == "extra_forbidden"
        else line
        for line, details in zip(problems(error), error.errors(), strict=True)
    )
    return SettingsError("\n".join(_located(line, layers) for line in lines))


_UNKNOWN = "unknown setting "


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"{_UNKNOWN}{name}; did you mean {close[0]}?"
    choices = ", ".join(known)
    return f"{_UNKNOWN}{name}" + (f"; known settings: {choices}" if choices else "")


def _without_section(line: str) -> str:
    section, _, rest = line.partition(".")
    return rest if section in _SECTIONS else line


def _located(line: str, layers: Iterable[Mapping[str, Any]]) -> str:
    """Adds the source of the setting in a line: the last layer that contains the setting."""
    name = re.split(r"[.:;]", line.removeprefix(_UNKNOWN), maxsplit=1)[0]
    source = next((layer for layer in reversed([*layers]) if name in layer), None)
    return source.locate(line) if isinstance(source, Layer) else line


def check_schema(path: Path) -> None:
    """Checks that a schema is reviewed and matches the data definition.

    Raises:
      SettingsError: one line for each problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"schema_file: {describe_os_error(error)}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"schema_file: {path}: {error}") from error
    lines = [f"schema_file: {path}: {problem}" for problem in schema_problems(text)]
    if lines:
        raise SettingsError("\n".join(lines))
