"""Copies the newest release that holds another model than the candidate."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.common.artifacts import saved_model_sha256
from components.common.properties import ABSENT
from components.common.roles import ByRole
from components.releases.manifest import RELEASE_FILE, Release
from components.releases.store import ReleaseStore, model_directory
from models.features import CLASS_NAMES, IMAGE_SHAPE

_log = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Executor of PushedBaseline."""

    def Do(self, input_dict: ByRole, output_dict: ByRole, exec_properties: dict[str, Any]) -> None:
        """Copies the baseline, or marks the output as absent.

        Args:
          input_dict: candidate.
          output_dict: model.
          exec_properties: serving_dir and model_name.
        """
        candidate = artifact_utils.get_single_instance(input_dict["candidate"])
        model = artifact_utils.get_single_instance(output_dict["model"])
        store = ReleaseStore(
            model_directory(exec_properties["serving_dir"], exec_properties["model_name"])
        )
        found = newest_other_release(store, saved_model_sha256(candidate))
        if found is None:
            _mark_absent(model)
            _log.info("No baseline: there is no other release in %s", store.model_dir)
            return
        path, release = found
        shutil.copytree(
            path,
            path_utils.serving_model_dir(model.uri),
            ignore=shutil.ignore_patterns(RELEASE_FILE),
            copy_function=shutil.copyfile,
            dirs_exist_ok=True,
        )
        model.set_string_custom_property("version", str(release.version))
        model.set_string_custom_property("model_sha256", release.model_sha256)
        _log.info("Baseline: %s", path)


def newest_other_release(store: ReleaseStore, candidate_sha256: str) -> tuple[Path, Release] | None:
    """Finds the release that the candidate would replace.

    Args:
      store: holds the releases.
      candidate_sha256: checksum of the candidate, which may already be a release: a rerun with
        nothing changed pushes it again.

    Returns:
      Directory and manifest of the newest intact release of another model for the same classes and
      image shape that no rollback withdrew, or None.
    """
    excluded = {candidate_sha256, *store.withdrawals()}
    for version, path in reversed(store.versions().items()):
        if problems := store.problems(version):
            _log.warning("Skipped %s: %s", path, "; ".join(problems))
            continue
        release = store.read(version)
        if (release.data.class_names, release.data.image_shape) != (CLASS_NAMES, IMAGE_SHAPE):
            _log.warning("Skipped %s: it is of another data definition", path)
        elif release.model_sha256 not in excluded:
            return path, release
    return None


def _mark_absent(model: Artifact) -> None:
    """Sets the property, and writes a file, because object stores keep no empty directories."""
    model.set_int_custom_property(ABSENT, 1)
    directory = Path(model.uri)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ABSENT).write_text("There is no baseline: no other model has been pushed.\n")
