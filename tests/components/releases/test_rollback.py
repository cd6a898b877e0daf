from __future__ import annotations

from pathlib import Path

import pytest
from support.release_fixtures import MakeModel, no_check, release_facts

from components.common.checksums import directory_sha256, model_sha256
from components.releases.manifest import RELEASE_FILE
from components.releases.rollback import RollbackError
from components.releases.store import ReleaseStore, WithdrawnError


class Shelf:
    """A directory of versions, numbered from 1 on by a clock that stands still."""

    def __init__(self, model_dir: Path, make_model: MakeModel) -> None:
        self.store = ReleaseStore(model_dir)
        self._sources: dict[str, Path] = {}
        self._make_model = make_model

    def push(self, *contents: str) -> None:
        for content in contents:
            source = self._sources.get(content) or self._make_model(content)
            self._sources[content] = source
            self.store.push(source, release_facts(), no_check, lambda: 1.0)

    def roll_back(self, to_version: int | None = None, reason: str = "") -> int:
        pushed, _ = self.store.roll_back(to_version, reason, clock=lambda: 1.0)
        return pushed.version

    def contents(self) -> list[str]:
        """What each version holds, oldest first."""
        paths = self.store.versions().values()
        return [(path / "saved_model.pb").read_text() for path in paths]

    def path(self, version: int) -> Path:
        return self.store.model_dir / str(version)


@pytest.fixture
def shelf(tmp_path: Path, make_model: MakeModel) -> Shelf:
    return Shelf(tmp_path / "models", make_model)


def test_rollback_makes_the_earlier_model_the_newest_version(shelf: Shelf) -> None:
    shelf.push("a", "b")
    before = {version: directory_sha256(shelf.path(version)) for version in (1, 2)}
    assert shelf.roll_back(reason="b confuses 4 and 9") == 3
    assert shelf.store.live() == 3
    assert shelf.contents() == ["a", "b", "a"]
    assert shelf.store.problems(3) == []
    assert {version: directory_sha256(shelf.path(version)) for version in (1, 2)} == before


def test_rollback_is_recorded_in_the_manifest(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.roll_back(reason="b confuses 4 and 9")
    release, target = shelf.store.read(3), shelf.store.read(1)
    assert release.version == 3
    assert release.rollback is not None
    assert release.rollback.model_dump() == {
        "from_version": 2,
        "from_model_sha256": shelf.store.read(2).model_sha256,
        "to_version": 1,
        "reason": "b confuses 4 and 9",
    }
    changing = {"version", "created", "rollback"}
    assert release.model_dump(exclude=changing) == target.model_dump(exclude=changing)


def test_next_rollback_goes_further_back(shelf: Shelf) -> None:
    shelf.push("a", "b", "c")
    shelf.roll_back()
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "c", "b", "a"]
    with pytest.raises(RollbackError, match="another model before version 1, found none"):
        shelf.roll_back()


def test_rollback_after_a_later_push_goes_to_what_was_live_before(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.roll_back()
    shelf.push("c")
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "a", "c", "a"], "and not to b, which was withdrawn"
    with pytest.raises(RollbackError, match="another model before version 1, found none"):
        shelf.roll_back()


def test_version_that_is_a_rollback_can_be_gone_back_to(shelf: Shelf) -> None:
    shelf.push("a", "b", "c")
    shelf.roll_back()
    shelf.push("d")
    shelf.roll_back(4)
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "c", "b", "d", "b", "a"]


def test_version_under_another_number_is_not_gone_back_to(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.path(1).rename(shelf.path(7))
    shelf.push("c")
    with pytest.raises(RollbackError, match="version 7: the manifest is of version 1"):
        shelf.roll_back(7)


def test_version_to_go_to_can_be_chosen(shelf: Shelf) -> None:
    shelf.push("a", "b", "c")
    shelf.roll_back(1)
    shelf.roll_back(3)
    assert shelf.contents() == ["a", "b", "c", "a", "c"]


def test_later_push_works_as_before(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.roll_back()
    shelf.push("a")
    assert shelf.contents() == ["a", "b", "a"], "a is live already"
    shelf.push("c")
    assert shelf.contents() == ["a", "b", "a", "c"]


def test_withdrawn_model_does_not_come_back_by_a_push(shelf: Shelf) -> None:
    shelf.push("a", "b", "c")
    shelf.roll_back()
    shelf.roll_back()
    for content, version in {"b": 4, "c": 3}.items():
        with pytest.raises(WithdrawnError, match=rf"rollback --to {version}$"):
            shelf.push(content)
    assert len(shelf.contents()) == 5


def test_withdrawn_model_comes_back_by_a_rollback(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.roll_back()
    shelf.roll_back(2)
    assert shelf.contents() == ["a", "b", "a", "b"]
    assert list(shelf.store.withdrawals()) == [shelf.store.read(1).model_sha256]


def test_damaged_live_version_can_be_left(shelf: Shelf) -> None:
    shelf.push("a", "b")
    (shelf.path(2) / "saved_model.pb").write_text("damaged")
    (shelf.path(2) / RELEASE_FILE).unlink()
    shelf.roll_back()
    assert shelf.contents() == ["a", "damaged", "a"]
    damaged = directory_sha256(shelf.path(2))
    assert list(shelf.store.withdrawals()) == [model_sha256(damaged)]


def test_damaged_newest_version_is_replaced_though_an_older_one_is_live(shelf: Shelf) -> None:
    """TensorFlow Serving, which verifies nothing, serves the damaged one until then."""
    shelf.push("a", "b")
    (shelf.path(2) / "saved_model.pb").write_text("damaged")
    assert shelf.store.live() == 1
    assert shelf.roll_back() == 3
    assert shelf.contents() == ["a", "damaged", "a"]
    assert shelf.store.live() == 3


def test_damaged_version_is_not_gone_back_to(shelf: Shelf) -> None:
    shelf.push("a", "b")
    (shelf.path(1) / "variables" / "data").write_text("damaged")
    with pytest.raises(RollbackError, match=r"version 1: variables/data has changed\. Choose"):
        shelf.roll_back()
    assert shelf.contents() == ["a", "b"]


@pytest.mark.parametrize(
    ("to_version", "message"),
    [
        (7, r"Expected one of the versions 1, 2, received 7\."),
        (2, r"The model of version 2 is already the newest, as version 2\."),
    ],
)
def test_wrong_target_is_refused(shelf: Shelf, to_version: int, message: str) -> None:
    shelf.push("a", "b")
    with pytest.raises(RollbackError, match=message):
        shelf.roll_back(to_version)
    assert shelf.contents() == ["a", "b"]


def test_nothing_is_made_where_there_are_no_releases(shelf: Shelf) -> None:
    with pytest.raises(RollbackError, match="found none"):
        shelf.roll_back()
    assert not shelf.store.model_dir.exists()


def test_rollback_that_is_killed_leaves_all_as_it_was(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.push("a", "b")

    class Killed(BaseException):
        """Like a signal: nothing catches it."""

    def kill(source: Path, target: Path) -> None:
        raise Killed

    monkeypatch.setattr(Path, "rename", kill)
    with pytest.raises(Killed):
        shelf.roll_back()
    monkeypatch.undo()
    assert shelf.contents() == ["a", "b"]
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "a"]
    assert sorted(path.name for path in shelf.store.model_dir.iterdir()) == [
        ".push.lock",
        "1",
        "2",
        "3",
    ]


def test_manifest_of_before_there_were_rollbacks_can_be_read(shelf: Shelf) -> None:
    shelf.push("a", "b")
    path = shelf.path(1) / RELEASE_FILE
    text = path.read_text()
    assert '\n  "rollback": null,' in text
    path.write_text(text.replace('\n  "rollback": null,', ""))
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "a"]


def test_release_whose_preprocessing_is_gone_can_not_be_gone_back_to(shelf: Shelf) -> None:
    shelf.push("a", "b")
    manifest = shelf.path(1) / RELEASE_FILE
    release = shelf.store.read(1)
    data = release.data.model_copy(update={"picture_preprocessing": "models.gone.prepare"})
    manifest.write_text(release.model_copy(update={"data": data}).to_json())
    with pytest.raises(RollbackError, match=r"Can't go back to version 1: .* no longer here"):
        shelf.roll_back(1)
    assert shelf.contents() == ["a", "b"]
