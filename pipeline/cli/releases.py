"""`mnist-pipeline releases`: lists, shows and verifies releases, and rolls back."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from rich.table import Table

from components.releases.manifest import ManifestError, Release, Rollback, Training
from components.releases.rollback import RollbackError
from components.releases.store import ReleaseStore
from components.releases.versions import parse_version
from components.releases.writing import PushError
from models.definition import DATASET
from pipeline.cli.console import make_console
from pipeline.cli.options import directory_option
from pipeline.runs.summary import format_metrics, show_time


@click.group(invoke_without_command=True)
@directory_option("serving_dir", "Directory of the releases.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def releases(context: click.Context, serving_dir: Path, as_json: bool) -> None:
    """Lists, shows and verifies releases, and rolls back.

    Without a command, lists the releases, newest last.

    \b
    Exit status:
      0  done; for verify: every release is OK
      1  a release is damaged, a rollback is impossible, or no releases were found
      2  usage error
    """  # noqa: D301 - click interprets the escaped \b
    context.obj = ReleaseStore(serving_dir / DATASET.name)
    if context.invoked_subcommand is None:
        _print_list(context.obj, as_json)


@releases.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.pass_obj
def show(store: ReleaseStore, version: str, as_json: bool) -> None:
    """Shows the manifest of VERSION, a number or "live"."""
    (number,) = _versions(store, [version])
    try:
        release = store.read(number)
    except ManifestError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(release.to_json(), nl=False)
        return
    for name, value in _facts(release, store.live() == release.version):
        click.echo(f"{name:<12}{value}")


@releases.command()
@click.argument("versions", nargs=-1)
@click.pass_obj
def verify(store: ReleaseStore, versions: tuple[str, ...]) -> None:
    """Compares releases with the checksums in their manifests.

    Verifies all releases if no VERSIONS are given.
    """
    damaged = False
    for version in _versions(store, versions or [*map(str, store.versions())]):
        problems = store.problems(version)
        for problem in problems:
            click.echo(f"Error: {version}: {problem}", err=True)
        if not problems:
            click.echo(f"{version}: OK")
        damaged = damaged or bool(problems)
    sys.exit(int(damaged))


@releases.command()
@click.option(
    "--to",
    "to_version",
    type=int,
    metavar="VERSION",
    help="Version to restore. Default: the previous version with another model.",
)
@click.option("--reason", default="", show_default=False, help="Reason to record in the manifest.")
@click.pass_obj
def rollback(store: ReleaseStore, to_version: int | None, reason: str) -> None:
    """Releases an earlier model again, as a new version.

    Model servers switch to the new version within seconds. The pipeline continues to push other
    models, but never pushes a rolled-back model again. Only another rollback can restore it.
    """
    try:
        pushed, done = store.roll_back(to_version, reason)
    except (RollbackError, PushError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"Rolled back from version {done.from_version} to the model of version {done.to_version}, "
        f"which is live as version {pushed.version}: {pushed.path}"
    )


def _versions(store: ReleaseStore, names: Sequence[str]) -> list[int]:
    """Parses version names; an unknown version ends the command with a usage error."""
    versions = store.versions()
    if not versions:
        raise click.ClickException(
            f"no releases found in {store.model_dir}: push one with `make run`"
        )
    return [_version(store, name, versions) for name in names]


def _version(store: ReleaseStore, name: str, versions: Collection[int]) -> int:
    version = store.live() if name == "live" else parse_version(name)
    if version is None or version not in versions:
        known = ", ".join(map(str, versions))
        raise click.UsageError(f"expected live or one of the versions {known}, received {name}")
    return version


def _print_list(store: ReleaseStore, as_json: bool) -> None:
    live = store.live()
    found = store.releases()
    if as_json:
        rows = [_record(version, found[version], version == live) for version in found]
        click.echo(json.dumps(rows, indent=2))
    elif not found:
        click.echo(f"No releases found in {store.model_dir}: push one with `make run`.")
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
    fields = {"created", "model_sha256", "metrics", "data", "training", "rollback"}
    return {"version": version, "live": live, **release.model_dump(mode="json", include=fields)}


def _cells(version: int, release: Release | ManifestError, live: bool) -> list[str]:
    notes = ["live"] if live else []
    if isinstance(release, ManifestError):
        return [str(version), "", "", "", "", "; ".join([*notes, str(release)])]
    if release.rollback:
        notes.append(_rollback(release.rollback))
    return [
        str(version),
        show_time(release.created.astimezone()),
        _accuracy(release),
        release.data.source or "unknown",
        f"{sum(release.data.counts.values()):,}",
        "; ".join(notes),
    ]


def _facts(release: Release, live: bool) -> Iterator[tuple[str, str]]:
    yield "version", f"{release.version}{' (live)' if live else ''}"
    yield "pushed", show_time(release.created.astimezone())
    if release.rollback:
        yield "rollback", _rollback(release.rollback)
    yield "metrics", ", ".join(format_metrics(release.metrics))
    for check in release.checks:
        yield "gate", f"{'passed' if check.passed else 'FAILED'}: {check.row}"
    counts = ", ".join(f"{count:,} {split}" for split, count in release.data.counts.items())
    yield "data", f"{release.data.source or 'unknown'}: {counts}"
    yield "fingerprint", release.data.fingerprint or "unknown"
    if training := release.training:
        yield "training", _training(training)
        yield "hardware", training.hardware
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


def _training(training: Training) -> str:
    recipe = training.hyperparameters.get("recipe", "unknown")
    precision = training.precision or "unknown"
    return (
        f"recipe {recipe}, precision {precision}, "
        f"exported epoch {training.best_epoch} of {training.epochs}"
    )


def _rollback(rollback: Rollback) -> str:
    reason = f": {rollback.reason}" if rollback.reason else ""
    return f"rolled back from {rollback.from_version} to {rollback.to_version}{reason}"
