import pytest
from tfx.types import standard_artifacts

from components.example_gen.component import ImageExampleGen


def test_the_component_outputs_examples() -> None:
    component = ImageExampleGen(source="bundled")
    assert component.exec_properties == {
        "source": "bundled",
        "data_dir": "",
        "limit": 0,
        "data_version": "",
    }
    assert {name: out.type for name, out in component.outputs.items()} == {
        "examples": standard_artifacts.Examples
    }


@pytest.mark.parametrize("source", ["auto", "csv", ""])
def test_an_unresolved_source_is_rejected(source: str) -> None:
    with pytest.raises(ValueError, match=f"must be tfds or bundled, received '{source}'"):
        ImageExampleGen(source=source)


def test_a_negative_limit_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"must be 0 \(all\) or more, received -1"):
        ImageExampleGen(source="bundled", limit=-1)
