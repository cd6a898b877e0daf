"""Selects the releases that a candidate is compared with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from tfx.types import artifact_utils

from components.common.artifacts import data_record, saved_model_sha256
from components.common.roles import ByRole
from components.model_gate.best_release import BestRelease
from components.releases.manifest import ManifestError, Release
from components.releases.store import ReleaseStore, model_directory
from models.features import CLASS_NAMES, IMAGE_SHAPE
from models.validation import Frozen

_log = logging.getLogger(__name__)


class Selection(Frozen):
    """The releases that a candidate is compared with.

    Attributes:
      version: version of the baseline; None without a baseline.
      model_sha256: checksum of the baseline; empty without a baseline.
      best: the release that classified the most test examples correctly, among those that were
        evaluated on the candidate's data; None if there is none.
    """

    version: int | None = None
    model_sha256: str = ""
    best: BestRelease | None = None


def store_of(exec_properties: dict[str, Any]) -> ReleaseStore:
    """Returns the releases that the component's parameters name."""
    directory = model_directory(exec_properties["serving_dir"], exec_properties["model_name"])
    return ReleaseStore(directory)


def select_releases(input_dict: ByRole, store: ReleaseStore) -> Selection:
    """Selects releases for the component's inputs, `candidate` and `examples`.

    Raises:
      ModelRejectedError: if the candidate contains a symbolic link.
    """
    candidate = artifact_utils.get_single_instance(input_dict["candidate"])
    examples = artifact_utils.get_single_instance(input_dict["examples"])
    return select(store, saved_model_sha256(candidate), data_record(examples).fingerprint)


def select(store: ReleaseStore, candidate_sha256: str, fingerprint: str | None) -> Selection:
    """Selects the baseline and the best release.

    The baseline is the live release: the newest one that is intact, was not rolled back, and has
    the candidate's classes and image shape. A candidate that is itself live, as in a rerun with no
    changes, is compared with the release that it would have replaced.

    Args:
      store: the releases.
      candidate_sha256: checksum of the candidate.
      fingerprint: fingerprint of the candidate's data; None if unknown.
    """
    others = list(_others(store, candidate_sha256))
    live = next((release for release in others if _is_intact(store, release)), None)
    if live is None:
        return Selection()
    ranked = sorted(
        ((best, release) for release in others if (best := _counts(release, fingerprint))),
        key=lambda pair: (-pair[0].correct, pair[1].version),
    )
    intact = (best for best, release in ranked if release is live or _is_intact(store, release))
    return Selection(version=live.version, model_sha256=live.model_sha256, best=next(intact, None))


def _others(store: ReleaseStore, candidate_sha256: str) -> Iterator[Release]:
    """Yields the comparable releases of other models that were not rolled back, newest first."""
    excluded = {candidate_sha256, *store.rolled_back_models()}
    for version, release in reversed(store.releases().items()):
        if isinstance(release, ManifestError):
            _log.warning("Skipped version %d: %s", version, release)
        elif release.version != version:
            _log.warning("Skipped version %d: its manifest is of %d", version, release.version)
        elif (release.data.class_names, release.data.image_shape) != (CLASS_NAMES, IMAGE_SHAPE):
            _log.warning("Skipped version %d: its classes or image shape differ", version)
        elif release.model_sha256 not in excluded:
            yield release


def _is_intact(store: ReleaseStore, release: Release) -> bool:
    if problems := store.problems(release.version):
        _log.warning("Skipped version %d: %s", release.version, "; ".join(problems))
    return not problems


def _counts(release: Release, fingerprint: str | None) -> BestRelease | None:
    """Returns a release's counts if it was evaluated on the data with this fingerprint."""
    if fingerprint is None or release.data.fingerprint != fingerprint:
        return None
    try:
        return BestRelease.model_validate(
            {
                "version": str(release.version),
                "correct": release.metrics.get("correct"),
                "examples": release.metrics.get("examples"),
                "fingerprint": fingerprint,
            }
        )
    except ValidationError:
        _log.warning("Version %d has no valid counts of test examples", release.version)
        return None
