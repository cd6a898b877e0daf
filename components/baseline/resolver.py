"""Which model a candidate is compared with."""

from __future__ import annotations

from ml_metadata.metadata_store.metadata_store import MetadataStore
from tfx.components.evaluator import constants
from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.dsl.io import fileio
from tfx.types import Artifact
from tfx.utils import path_utils

MODEL = "model"
BLESSING = "blessing"
CANDIDATE = "candidate"


class NewestOtherBlessedModel(ResolverStrategy):
    """Picks the model that was blessed last and is not the candidate itself.

    The stock strategy may pick the candidate: in a second run with nothing changed, the newest
    blessed model is the one that the cache gives again, so that it would be compared with itself,
    and the Evaluator's input would be another than before.

    A model whose files are gone is passed over. It stays blessed when later verdicts on it, with
    stricter thresholds, say otherwise: it may still be the one that is serving.

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
        store: MetadataStore,  # noqa: ARG002 - TFX gives it by this name
        input_dict: dict[str, list[Artifact]],
    ) -> dict[str, list[Artifact]]:
        """Picks it from the artifacts of all runs.

        Args:
          store: not used.
          input_dict: `model` and `blessing`, all that there are, and `candidate`.

        Returns:
          `model` and `blessing` with at most one artifact each, and `candidate` as received.
        """
        candidates = {model.id for model in input_dict[CANDIDATE]}
        models = {model.id: model for model in input_dict[MODEL] if model.id not in candidates}
        blessings = sorted(input_dict[BLESSING], key=lambda blessing: blessing.id, reverse=True)
        for blessing in blessings:
            model = models.get(_blessed_model(blessing))
            if model is not None and _has_files(model):
                return {**input_dict, MODEL: [model], BLESSING: [blessing]}
        return {**input_dict, MODEL: [], BLESSING: []}


def _blessed_model(blessing: Artifact) -> int | None:
    """Id of the model that the blessing is for; None if it withholds it."""
    value = blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
    if value != constants.BLESSED_VALUE:
        return None
    return int(blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY))


def _has_files(model: Artifact) -> bool:
    path = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    return bool(fileio.exists(f"{path}/saved_model.pb"))
