from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.pusher import smoke_check
from components.pusher.smoke_check import check_model, read_examples
from components.releases.writing import PushError
from models.definition import DATASET
from models.features import NUM_CLASSES


@pytest.fixture
def asked(toy: Any) -> Any:
    """The serialized examples of questions."""

    def make(*answers: int) -> list[bytes]:
        questions = [toy.Question(label=0, answer=answer) for answer in answers]
        return read_examples(f"{toy.examples(questions).uri}/Split-test", 100)

    return make


def test_model_that_answers_passes(toy, asked, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    check_model(toy.saved_model(tmp_path / "model"), asked(*range(NUM_CLASSES)))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("NAN", "Expected finite probabilities of at least 0 from the model, received nan to nan"),
        ("INFINITY_AT_0", r"Expected finite .*, received 0\.\d+ to inf"),
        ("ZEROS", "Expected probabilities that sum to 1 from the model, received sums from 0.0"),
        ("TOO_MUCH", "Expected probabilities that sum to 1 .* to 2.0; nothing was pushed"),
    ],
)
def test_model_that_answers_nonsense_is_refused(  # type: ignore[no-untyped-def]
    toy, asked, tmp_path: Path, answer: str, problem: str
) -> None:
    with pytest.raises(PushError, match=problem):
        check_model(toy.saved_model(tmp_path / "model"), asked(1, getattr(toy, answer)))


def test_model_with_other_classes_is_refused(toy, asked, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    toy.classes = NUM_CLASSES + 1
    model = toy.saved_model(tmp_path / "model")
    expected = rf"of shape \(2, {NUM_CLASSES}\) from the model, received \(2, {toy.classes}\)"
    with pytest.raises(PushError, match=expected):
        check_model(model, asked(1, 2))


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index"])
def test_model_that_does_not_load_is_refused(  # type: ignore[no-untyped-def]
    toy, asked, tmp_path: Path, file: str
) -> None:
    model = toy.saved_model(tmp_path / "model")
    (model / file).write_bytes(b"damaged")
    with pytest.raises(PushError, match="The model can't be served; nothing was pushed: "):
        check_model(model, asked(1))


def test_model_that_can_not_read_the_examples_is_refused(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PushError, match=r"InvalidArgumentError: .*Could not parse example") as e:
        check_model(toy.saved_model(tmp_path / "model"), [b"not a tf.Example"])
    assert "\n" not in str(e.value), "TensorFlow's message has five lines"


def test_model_is_not_pushed_untried(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PushError, match="Expected examples for the smoke check, found none"):
        check_model(toy.saved_model(tmp_path / "model"), [])


@pytest.mark.parametrize(("count", "read"), [(2, 2), (5, 3), (0, 0)])
def test_only_the_first_examples_are_read(toy, count: int, read: int) -> None:  # type: ignore[no-untyped-def]
    examples = toy.examples(toy.questions(right=3))
    assert len(read_examples(f"{examples.uri}/Split-test", count)) == read


def test_missing_split_has_no_examples(tmp_path: Path) -> None:
    assert read_examples(str(tmp_path / "missing"), 5) == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("models.pictures.no_such", "Expected the name of a function in models"),
        ("models.pictures.PictureError", "Expected Prepared with views of shape"),
    ],
)
def test_preprocessing_that_can_not_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str, problem: str
) -> None:
    changed = DATASET.model_copy(update={"picture_preprocessing": path})
    monkeypatch.setattr(smoke_check, "DATASET", changed)
    with pytest.raises(PushError, match=rf"^picture_preprocessing: {problem}"):
        check_model(tmp_path, [b""])
