"""A pipeline with components that take milliseconds, for tests of the runner."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.resolver import Resolver, ResolverStrategy
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types import Channel
from tfx.types.standard_artifacts import Examples, Model

from components.common.errors import ModelRejectedError


@component
def write_examples(examples: OutputArtifact[Examples], text: Parameter[str] = "") -> None:
    """Writes an examples artifact."""
    _write(examples.uri, text)


@component
def use_examples(examples: InputArtifact[Examples], model: OutputArtifact[Model]) -> None:
    """Copies the examples to a model artifact, or raises the error that their text names."""
    text = Path(examples.uri, "text").read_text()
    errors = {"bad": ValueError, "rejected": ModelRejectedError, "interrupted": KeyboardInterrupt}
    if text in errors:
        raise errors[text](f"{text} examples")
    _write(model.uri, text)


class FindsNothing(ResolverStrategy):
    """A strategy whose result TFX treats as a failure."""

    def resolve_artifacts(self, store, input_dict):  # type: ignore[no-untyped-def]
        """Returns None."""
        return


def make_pipeline(root: Path, text: str = "", resolver: bool = False) -> Pipeline:
    """Builds a pipeline of the components Make and Use.

    Args:
      root: pipeline root.
      text: content of the examples.
      resolver: whether to insert Find, a Resolver that fails without raising, between the two.
    """
    make = write_examples(text=text).with_id("Make")
    use = use_examples(examples=make.outputs["examples"]).with_id("Use")
    components = [make, use]
    if resolver:
        find = Resolver(strategy_class=FindsNothing, model=Channel(type=Model)).with_id("Find")
        components.insert(1, find)
        find.add_upstream_node(make)
        use.add_upstream_node(find)
    return Pipeline(
        "toy",
        str(root),
        components=components,
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
    )


def _write(uri: str, text: str) -> None:
    Path(uri).mkdir(parents=True, exist_ok=True)
    Path(uri, "text").write_text(text)
