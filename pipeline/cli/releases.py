"""`mnist-pipeline releases`: lists, shows and verifies what was pushed, and goes back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from rich.table import Table

from components.releases.history import read_releases, served_version
from components.releases.manifest import (
    ManifestError,
    Release,
    Rollback,
    read_release,
    release_problems,
)
from components.releases.versions import list_versions, parse_version
from pipeline.cli.console import make_console
from pipeline.settings import Settings

MODEL_NAME = "mnist"


@click.group(invoke_without_command=True)
@click.option(
    "--serving-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Settings.model_fields["serving_dir"].default,
    show_default=True,
    help="Where approved models are pushed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def releases(context: click.Context, serving_dir: Path, as_json: bool) -> None:
    """Lists the releases, newest last; with a command, shows, verifies or rolls back.

    \b
    Exit status:
      0  done; for verify: every release is whole
      1  a release is not whole, or can't be gone back to, or there is none to show or verify
      2  wrong usage
    """  # noqa: D301 - click wants the character
    context.obj = serving_dir / MODEL_NAME
    if context.invoked_subcommand is None:
        _print_list(context.obj, as_json)


@releases.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as it is.")
@click.pass_obj
def show(model_dir: Path, version: str, as_json: bool) -> None:
    """Shows the manifest of VERSION, which may be `live`."""
    (path,) = _paths(model_dir, [version])
    try:
        release = read_release(path)
    except ManifestError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(release.to_json(), nl=False)
        return
    for name, value in _facts(release, served_version(model_dir) == release.version):
        click.echo(f"{name:<12}{value}")


@releases.command()
@click.argument("versions", nargs=-1)
@click.pass_obj
def verify(model_dir: Path, versions: tuple[str, ...]) -> None:
    """Compares the files of VERSIONS, or of all, with the SHA-256 in their manifests."""
    whole = True
    for path in _paths(model_dir, versions or [*map(str, list_versions(model_dir))]):
        try:
            problems = release_problems(path)
        except ManifestError as error:
            problems = [str(error)]
        for problem in problems:
            click.echo(f"Error: {path.name}: {problem}", err=True)
        if not problems:
            click.echo(f"{path.name}: whole")
        whole = whole and not problems
    sys.exit(0 if whole else 1)


@releases.command()
@click.option(
    "--to",
    "to_version",
    type=int,
    metavar="VERSION",
    help="Default: what was live before, with another model.",
)
@click.option("--reason", default="", help="For the manifest.")
@click.pass_obj
def rollback(model_dir: Path, to_version: int | None, reason: str) -> None:
    """Makes the model of an earlier version the live one, as a new version.

    Model servers follow within seconds. The pipeline pushes other models as before; the one that
    was withdrawn it pushes no more, unless you roll back to it.
    """
    from components.releases.rollback import RollbackError, roll_back
    from components.releases.store import PushError

    try:
        pushed, done = roll_back(model_dir, to_version, reason)
    except (RollbackError, PushError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"Rolled back from version {done.from_version} to the model of version {done.to_version}, "
        f"which is live as version {pushed.version}: {pushed.path}"
    )


def _paths(model_dir: Path, names: Sequence[str]) -> list[Path]:
    """The directories of versions; one that is not there ends the command."""
    versions = list_versions(model_dir)
    if not versions:
        raise click.ClickException(
            f"expected releases in {model_dir}, found none: push one with `make run`"
        )
    return [versions[_version(name, model_dir)] for name in names]


def _version(name: str, model_dir: Path) -> int:
    versions = list_versions(model_dir)
    version = served_version(model_dir) if name == "live" else parse_version(name)
    if version not in versions:
        known = ", ".join(map(str, versions))
        raise click.UsageError(f"expected live or one of the versions {known}, received {name}")
    return version


def _print_list(model_dir: Path, as_json: bool) -> None:
    live = served_version(model_dir)
    found = read_releases(model_dir)
    if as_json:
        rows = [_record(version, found[version], version == live) for version in found]
        click.echo(json.dumps(rows, indent=2))
    elif not found:
        click.echo(f"There are no releases in {model_dir}: push one with `make run`.")
    else:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column, justify in _COLUMNS.items():
            table.add_column(column, justify=justify, no_wrap=column == "version")
        for version, release in found.items():
            style = "bold green" if version == live else None
            table.add_row(*_cells(version, release, version == live), style=style)
        make_console(sys.stdout).print(table)


_COLUMNS: dict[str, Literal["left", "right"]] = {
    "version": "right",
    "pushed": "left",
    "accuracy": "right",
    "data": "left",
    "images": "right",
    "": "left",
}


def _record(version: int, release: Release | ManifestError, live: bool) -> dict[str, Any]:
    if isinstance(release, ManifestError):
        return {"version": version, "live": live, "error": str(release)}
    fields = {"created", "model_sha256", "metrics", "data", "rollback"}
    return {"version": version, "live": live, **release.model_dump(mode="json", include=fields)}


def _cells(version: int, release: Release | ManifestError, live: bool) -> list[str]:
    notes = ["live"] if live else []
    if isinstance(release, ManifestError):
        return [str(version), "", "", "", "", "; ".join([*notes, str(release)])]
    if release.rollback:
        notes.append(_rollback(release.rollback))
    return [
        str(version),
        f"{release.created.astimezone():%Y-%m-%d %H:%M}",
        _accuracy(release),
        release.data.source or "unknown",
        f"{sum(release.data.counts.values()):,}",
        "; ".join(notes),
    ]


def _facts(release: Release, live: bool) -> Iterator[tuple[str, str]]:
    yield "version", f"{release.version}{' (live)' if live else ''}"
    yield "pushed", f"{release.created.astimezone():%Y-%m-%d %H:%M:%S %z}"
    if release.rollback:
        yield "rollback", _rollback(release.rollback)
    yield "accuracy", _accuracy(release)
    yield "metrics", ", ".join(f"{name} {value}" for name, value in release.metrics.items())
    for check in release.checks:
        verdict = "passed" if check.passed else "FAILED"
        value = "" if check.value is None else f" with {check.value:.6g}"
        yield "gate", f"{check.name} {verdict}{value}: {check.detail}"
    counts = ", ".join(f"{count:,} {split}" for split, count in release.data.counts.items())
    yield "data", f"{release.data.source or 'unknown'}: {counts}"
    yield "fingerprint", release.data.fingerprint or "unknown"
    yield "model", release.model_sha256
    git = release.git
    dirty = " with uncommitted changes" if git and git.dirty else ""
    yield "commit", f"{git.commit}{dirty}" if git else "unknown"
    yield "packages", ", ".join(f"{name} {number}" for name, number in release.packages.items())
    for role, artifact in release.ml_metadata.items():
        yield "artifact", f"{role}: {artifact.type} {artifact.id}, {artifact.uri}"
    size = sum(file.bytes for file in release.files.values())
    yield "files", f"{len(release.files)}, {size / 1e6:.1f} MB"


def _accuracy(release: Release) -> str:
    accuracy = release.metrics.get("accuracy")
    return "unknown" if accuracy is None else f"{accuracy:.2%}"


def _rollback(rollback: Rollback) -> str:
    reason = f": {rollback.reason}" if rollback.reason else ""
    return f"rolled back from {rollback.from_version} to {rollback.to_version}{reason}"
