"""TFX Resolver strategy that selects the baseline from ML Metadata."""

from __future__ import annotations

from ml_metadata.metadata_store.metadata_store import MetadataStore
from tfx.components.evaluator import constants
from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.types import Artifact

from components.common.artifacts import saved_model_path
from components.releases.versions import SAVED_MODEL


class NewestOtherBlessedModel(ResolverStrategy):
    """Selects the most recently blessed model other than the candidate.

    The stock strategy can select the candidate: in a rerun with no changes, the cached candidate is
    also the newest blessed model. It would then be compared with itself, and the Evaluator would
    run again because its baseline input changed.

    Models with missing files are skipped. A model stays blessed even if a later verdict with
    stricter thresholds rejects it, because it may still be live.

    Example:
      Resolver(
          strategy_class=NewestOtherBlessedModel,
          model=Channel(type=standard_artifacts.Model),
          blessing=Channel(type=standard_artifacts.ModelBlessing),
          candidate=trainer.outputs["model"],
      ).with_id("Baseline")
    """

    def resolve_artifacts(
        self,
        store: MetadataStore,  # noqa: ARG002 - TFX passes it by this name
        input_dict: dict[str, list[Artifact]],
    ) -> dict[str, list[Artifact]]:
        """Selects a model from the artifacts of all runs.

        Args:
          store: unused.
          input_dict: `model` and `blessing` with the artifacts of all runs, and `candidate`.

        Returns:
          `model` and `blessing` with at most one artifact each, and `candidate` unchanged.
        """
        candidates = {model.id for model in input_dict["candidate"]}
        models = {model.id: model for model in input_dict["model"] if model.id not in candidates}
        blessings = sorted(input_dict["blessing"], key=lambda blessing: blessing.id, reverse=True)
        for blessing in blessings:
            model = models.get(_blessed_model(blessing))
            if model is not None and (saved_model_path(model) / SAVED_MODEL).is_file():
                return {**input_dict, "model": [model], "blessing": [blessing]}
        return {**input_dict, "model": [], "blessing": []}


def _blessed_model(blessing: Artifact) -> int | None:
    """Returns the ID of the blessed model; None if the model was rejected."""
    value = blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
    if value != constants.BLESSED_VALUE:
        return None
    return int(blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY))
