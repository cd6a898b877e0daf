"""A pipeline of components that run in milliseconds, for tests of the runner."""

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
    """Writes examples."""
    _write(examples.uri, text)


@component
def use_examples(examples: InputArtifact[Examples], model: OutputArtifact[Model]) -> None:
    """Makes a model of examples; raises an error if their text asks for one."""
    text = Path(examples.uri, "text").read_text()
    errors = {"bad": ValueError, "rejected": ModelRejectedError, "interrupted": KeyboardInterrupt}
    if text in errors:
        raise errors[text](f"{text} examples")
    _write(model.uri, text)


class FindsNothing(ResolverStrategy):
    """A strategy that TFX takes for a failure."""

    def resolve_artifacts(self, store, input_dict):  # type: ignore[no-untyped-def]
        """Resolves nothing."""
        return


def make_pipeline(root: Path, text: str = "", resolver: bool = False) -> Pipeline:
    """Make and Use, with a Resolver between them that fails without raising, if asked for."""
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
