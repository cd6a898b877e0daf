from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.pusher import smoke_check
from components.pusher.smoke_check import check_model, read_examples
from components.releases.writing import PushError
from models.definition import DATASET
from models.features import NUM_CLASSES
from models.warm_up import predict_request, write_requests


@pytest.fixture
def examples(toy: Any) -> Any:
    """Returns serialized examples for which the toy model returns the given predictions."""

    def make(*predictions: int) -> list[bytes]:
        cases = [toy.Case(label=0, predicted=prediction) for prediction in predictions]
        return read_examples(f"{toy.examples(cases).uri}/Split-test", 100)

    return make


def test_a_model_with_valid_predictions_passes(toy, examples, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    check_model(toy.saved_model(tmp_path / "model"), examples(*range(NUM_CLASSES)))


@pytest.mark.parametrize(
    ("prediction", "problem"),
    [
        ("NAN", "must return finite probabilities of at least 0, received nan to nan"),
        ("INFINITY_AT_0", r"must return finite .*, received 0\.\d+ to inf"),
        ("ZEROS", "must return probabilities that sum to 1, received sums from 0.0"),
        ("SUM_OF_2", r"must return probabilities that sum to 1, .* to 2\.0\. Nothing was pushed"),
    ],
)
def test_a_model_with_invalid_predictions_is_rejected(  # type: ignore[no-untyped-def]
    toy, examples, tmp_path: Path, prediction: str, problem: str
) -> None:
    with pytest.raises(PushError, match=problem):
        check_model(toy.saved_model(tmp_path / "model"), examples(1, getattr(toy, prediction)))


def test_a_model_with_another_number_of_classes_is_rejected(toy, examples, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    toy.classes = NUM_CLASSES + 1
    model = toy.saved_model(tmp_path / "model")
    expected = rf"of shape \(2, {NUM_CLASSES}\), received \(2, {toy.classes}\)"
    with pytest.raises(PushError, match=expected):
        check_model(model, examples(1, 2))


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index"])
def test_a_model_that_does_not_load_is_rejected(  # type: ignore[no-untyped-def]
    toy, examples, tmp_path: Path, file: str
) -> None:
    model = toy.saved_model(tmp_path / "model")
    (model / file).write_bytes(b"damaged")
    with pytest.raises(PushError, match=r"The model can't be served \(.*\)\. Nothing was pushed"):
        check_model(model, examples(1))


def test_a_model_that_cannot_parse_the_examples_is_rejected(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PushError, match=r"InvalidArgumentError: .*Could not parse example") as e:
        check_model(toy.saved_model(tmp_path / "model"), [b"not a tf.Example"])
    assert "\n" not in str(e.value), "TensorFlow's multi-line message must become one line"


def test_warm_up_requests_must_succeed(toy, examples, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """TensorFlow Serving refuses a model whose warm-up requests fail."""
    valid, invalid = (toy.saved_model(tmp_path / name) for name in ("valid", "invalid"))
    requests = examples(1)
    write_requests(valid, [predict_request("serving_default", examples=requests)])
    write_requests(
        str(invalid), [predict_request("serving_default", examples=[b"not a tf.Example"])]
    )
    check_model(valid, requests)
    with pytest.raises(PushError, match=r"The model can't be served \(InvalidArgumentError: "):
        check_model(invalid, requests)


def test_a_check_without_examples_is_an_error(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PushError, match="The smoke check needs at least one test example"):
        check_model(toy.saved_model(tmp_path / "model"), [])


@pytest.mark.parametrize(("count", "read"), [(2, 2), (5, 3), (0, 0)])
def test_only_the_first_examples_are_read(toy, count: int, read: int) -> None:  # type: ignore[no-untyped-def]
    artifact = toy.examples(toy.cases(right=3))
    assert len(read_examples(f"{artifact.uri}/Split-test", count)) == read


def test_a_missing_split_has_no_examples(tmp_path: Path) -> None:
    assert read_examples(str(tmp_path / "missing"), 5) == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("models.pictures.no_such", "Expected the name of a function in models"),
        ("models.pictures.PictureError", "Expected Prepared with views of shape"),
    ],
)
def test_invalid_picture_preprocessing_is_rejected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str, problem: str
) -> None:
    changed = DATASET.model_copy(update={"picture_preprocessing": path})
    monkeypatch.setattr(smoke_check, "DATASET", changed)
    with pytest.raises(PushError, match=rf"^picture_preprocessing: {problem}"):
        check_model(tmp_path, [b""])
