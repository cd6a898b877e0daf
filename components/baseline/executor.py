"""The executor of PushedBaseline: copies the newest release with a different model."""

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
        """Copies the baseline, or marks the output as absent if there is none.

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
            _log.info("No baseline: %s contains no other release", store.model_dir)
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
      store: the releases to search.
      candidate_sha256: checksum of the candidate. In a rerun with no changes, the candidate is
        itself a release.

    Returns:
      Directory and manifest of the newest release that is intact, was not rolled back, contains
      another model, and has the same classes and image shape; None if there is none.
    """
    excluded = {candidate_sha256, *store.rolled_back_models()}
    for version, path in reversed(store.versions().items()):
        if problems := store.problems(version):
            _log.warning("Skipped %s: %s", path, "; ".join(problems))
            continue
        release = store.read(version)
        if (release.data.class_names, release.data.image_shape) != (CLASS_NAMES, IMAGE_SHAPE):
            _log.warning("Skipped %s: its classes or image shape differ", path)
        elif release.model_sha256 not in excluded:
            return path, release
    return None


def _mark_absent(model: Artifact) -> None:
    """Sets the property and writes a file, because object stores don't keep empty directories."""
    model.set_int_custom_property(ABSENT, 1)
    directory = Path(model.uri)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ABSENT).write_text("No baseline: no other model has been pushed.\n")
