from __future__ import annotations

from pathlib import Path

import pytest
from support.release_fixtures import MakeModel, no_check, release_facts

from components.common.checksums import directory_sha256, model_sha256
from components.releases.manifest import RELEASE_FILE
from components.releases.rollback import RollbackError
from components.releases.store import ReleaseStore, RolledBackError


class Shelf:
    """A directory of versions. The clock is fixed, so they are numbered consecutively from 1."""

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
        """Returns the content of each version, oldest first."""
        paths = self.store.versions().values()
        return [(path / "saved_model.pb").read_text() for path in paths]

    def path(self, version: int) -> Path:
        return self.store.model_dir / str(version)


@pytest.fixture
def shelf(tmp_path: Path, make_model: MakeModel) -> Shelf:
    return Shelf(tmp_path / "models", make_model)


def test_a_rollback_adds_a_version_with_the_earlier_model(shelf: Shelf) -> None:
    shelf.push("a", "b")
    before = {version: directory_sha256(shelf.path(version)) for version in (1, 2)}
    assert shelf.roll_back(reason="b confuses 4 and 9") == 3
    assert shelf.store.live() == 3
    assert shelf.contents() == ["a", "b", "a"]
    assert shelf.store.problems(3) == []
    assert {version: directory_sha256(shelf.path(version)) for version in (1, 2)} == before


def test_a_rollback_is_recorded_in_the_manifest(shelf: Shelf) -> None:
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


def test_consecutive_rollbacks_go_further_back(shelf: Shelf) -> None:
    shelf.push("a", "b", "c")
    shelf.roll_back()
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "c", "b", "a"]
    with pytest.raises(RollbackError, match="No version before 1 has another model"):
        shelf.roll_back()


def test_a_rollback_after_a_later_push_restores_the_previous_live_model(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.roll_back()
    shelf.push("c")
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "a", "c", "a"], "b was rolled back and stays so"
    with pytest.raises(RollbackError, match="No version before 1 has another model"):
        shelf.roll_back()


def test_a_rollback_can_restore_a_version_that_is_itself_a_rollback(shelf: Shelf) -> None:
    shelf.push("a", "b", "c")
    shelf.roll_back()
    shelf.push("d")
    shelf.roll_back(4)
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "c", "b", "d", "b", "a"]


def test_a_renamed_version_cannot_be_restored(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.path(1).rename(shelf.path(7))
    shelf.push("c")
    with pytest.raises(RollbackError, match="version 7: the manifest belongs to version 1"):
        shelf.roll_back(7)


def test_the_version_to_restore_can_be_chosen(shelf: Shelf) -> None:
    shelf.push("a", "b", "c")
    shelf.roll_back(1)
    shelf.roll_back(3)
    assert shelf.contents() == ["a", "b", "c", "a", "c"]


def test_models_can_be_pushed_after_a_rollback(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.roll_back()
    shelf.push("a")
    assert shelf.contents() == ["a", "b", "a"], "a is live already"
    shelf.push("c")
    assert shelf.contents() == ["a", "b", "a", "c"]


def test_a_push_never_restores_a_rolled_back_model(shelf: Shelf) -> None:
    shelf.push("a", "b", "c")
    shelf.roll_back()
    shelf.roll_back()
    for content, version in {"b": 4, "c": 3}.items():
        with pytest.raises(RolledBackError, match=rf"rollback --to {version}$"):
            shelf.push(content)
    assert len(shelf.contents()) == 5


def test_a_rollback_can_restore_a_rolled_back_model(shelf: Shelf) -> None:
    shelf.push("a", "b")
    shelf.roll_back()
    shelf.roll_back(2)
    assert shelf.contents() == ["a", "b", "a", "b"]
    assert list(shelf.store.rolled_back_models()) == [shelf.store.read(1).model_sha256]


def test_a_damaged_version_without_a_manifest_can_be_rolled_back(shelf: Shelf) -> None:
    shelf.push("a", "b")
    (shelf.path(2) / "saved_model.pb").write_text("damaged")
    (shelf.path(2) / RELEASE_FILE).unlink()
    shelf.roll_back()
    assert shelf.contents() == ["a", "damaged", "a"]
    damaged = directory_sha256(shelf.path(2))
    assert list(shelf.store.rolled_back_models()) == [model_sha256(damaged)]


def test_a_rollback_replaces_a_damaged_newest_version(shelf: Shelf) -> None:
    """TensorFlow Serving doesn't verify files, so it serves the damaged version until then."""
    shelf.push("a", "b")
    (shelf.path(2) / "saved_model.pb").write_text("damaged")
    assert shelf.store.live() == 1
    assert shelf.roll_back() == 3
    assert shelf.contents() == ["a", "damaged", "a"]
    assert shelf.store.live() == 3


def test_a_damaged_version_cannot_be_restored(shelf: Shelf) -> None:
    shelf.push("a", "b")
    (shelf.path(1) / "variables" / "data").write_text("damaged")
    with pytest.raises(RollbackError, match=r"version 1: variables/data has changed\. Choose"):
        shelf.roll_back()
    assert shelf.contents() == ["a", "b"]


@pytest.mark.parametrize(
    ("to_version", "message"),
    [
        (7, r"Version 7 doesn't exist\. Choose one of 1, 2\."),
        (2, r"The newest version, 2, already has the model of version 2\."),
    ],
)
def test_an_invalid_target_is_rejected(shelf: Shelf, to_version: int, message: str) -> None:
    shelf.push("a", "b")
    with pytest.raises(RollbackError, match=message):
        shelf.roll_back(to_version)
    assert shelf.contents() == ["a", "b"]


def test_a_rollback_without_releases_creates_nothing(shelf: Shelf) -> None:
    with pytest.raises(RollbackError, match="No releases found in"):
        shelf.roll_back()
    assert not shelf.store.model_dir.exists()


def test_a_killed_rollback_changes_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.push("a", "b")

    class Killed(BaseException):
        """Simulates a kill: no handler catches it."""

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


def test_a_manifest_without_the_field_rollback_can_be_read(shelf: Shelf) -> None:
    shelf.push("a", "b")
    path = shelf.path(1) / RELEASE_FILE
    text = path.read_text()
    assert '\n  "rollback": null,' in text
    path.write_text(text.replace('\n  "rollback": null,', ""))
    shelf.roll_back()
    assert shelf.contents() == ["a", "b", "a"]


def test_a_release_with_missing_preprocessing_cannot_be_restored(shelf: Shelf) -> None:
    shelf.push("a", "b")
    manifest = shelf.path(1) / RELEASE_FILE
    release = shelf.store.read(1)
    data = release.data.model_copy(update={"picture_preprocessing": "models.gone.prepare"})
    manifest.write_text(release.model_copy(update={"data": data}).to_json())
    with pytest.raises(RollbackError, match=r"Can't roll back to version 1: .* no longer exists"):
        shelf.roll_back(1)
    assert shelf.contents() == ["a", "b"]
