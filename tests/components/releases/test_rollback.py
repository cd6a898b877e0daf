from __future__ import annotations

from pathlib import Path

import pytest
from support.release_fixtures import MakeModel, checksum, no_check, release_facts

from components.common.checksums import directory_sha256, model_sha256
from components.releases.manifest import RELEASE_FILE
from components.releases.rollback import RollbackError
from components.releases.store import ReleaseStore, RolledBackError


class Releases:
    """A directory of versions. The clock is fixed, so they are numbered consecutively from 1."""

    def __init__(self, model_dir: Path, make_model: MakeModel) -> None:
        self.store = ReleaseStore(model_dir)
        self._sources: dict[str, Path] = {}
        self._make_model = make_model

    def push(self, *contents: str) -> None:
        for content in contents:
            source = self._sources.get(content) or self._make_model(content)
            self._sources[content] = source
            self.store.push(source, release_facts(), checksum(source), no_check, lambda: 1.0)

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
def releases(tmp_path: Path, make_model: MakeModel) -> Releases:
    return Releases(tmp_path / "models", make_model)


def test_a_rollback_adds_a_version_with_the_earlier_model(releases: Releases) -> None:
    releases.push("a", "b")
    before = {version: directory_sha256(releases.path(version)) for version in (1, 2)}
    assert releases.roll_back(reason="b confuses 4 and 9") == 3
    assert releases.store.live() == 3
    assert releases.contents() == ["a", "b", "a"]
    assert releases.store.problems(3) == []
    assert {version: directory_sha256(releases.path(version)) for version in (1, 2)} == before


def test_a_rollback_is_recorded_in_the_manifest(releases: Releases) -> None:
    releases.push("a", "b")
    releases.roll_back(reason="b confuses 4 and 9")
    release, target = releases.store.read(3), releases.store.read(1)
    assert release.version == 3
    assert release.rollback is not None
    assert release.rollback.model_dump() == {
        "from_version": 2,
        "from_model_sha256": releases.store.read(2).model_sha256,
        "to_version": 1,
        "reason": "b confuses 4 and 9",
    }
    changing = {"version", "created", "rollback"}
    assert release.model_dump(exclude=changing) == target.model_dump(exclude=changing)


def test_consecutive_rollbacks_go_further_back(releases: Releases) -> None:
    releases.push("a", "b", "c")
    releases.roll_back()
    releases.roll_back()
    assert releases.contents() == ["a", "b", "c", "b", "a"]
    with pytest.raises(RollbackError, match="No version before 1 has another model"):
        releases.roll_back()


def test_a_rollback_after_a_later_push_restores_the_previous_live_model(releases: Releases) -> None:
    releases.push("a", "b")
    releases.roll_back()
    releases.push("c")
    releases.roll_back()
    assert releases.contents() == ["a", "b", "a", "c", "a"], "b stays rolled back"
    with pytest.raises(RollbackError, match="No version before 1 has another model"):
        releases.roll_back()


def test_a_rollback_can_restore_a_version_that_is_itself_a_rollback(releases: Releases) -> None:
    releases.push("a", "b", "c")
    releases.roll_back()
    releases.push("d")
    releases.roll_back(4)
    releases.roll_back()
    assert releases.contents() == ["a", "b", "c", "b", "d", "b", "a"]


def test_a_renamed_version_cannot_be_restored(releases: Releases) -> None:
    releases.push("a", "b")
    releases.path(1).rename(releases.path(7))
    releases.push("c")
    with pytest.raises(RollbackError, match="version 7: the manifest belongs to version 1"):
        releases.roll_back(7)


def test_the_version_to_restore_can_be_chosen(releases: Releases) -> None:
    releases.push("a", "b", "c")
    releases.roll_back(1)
    releases.roll_back(3)
    assert releases.contents() == ["a", "b", "c", "a", "c"]


def test_models_can_be_pushed_after_a_rollback(releases: Releases) -> None:
    releases.push("a", "b")
    releases.roll_back()
    releases.push("a")
    assert releases.contents() == ["a", "b", "a"], "a is live already"
    releases.push("c")
    assert releases.contents() == ["a", "b", "a", "c"]


def test_a_push_never_restores_a_rolled_back_model(releases: Releases) -> None:
    releases.push("a", "b", "c")
    releases.roll_back()
    releases.roll_back()
    for content, version in {"b": 4, "c": 3}.items():
        with pytest.raises(RolledBackError, match=rf"rollback --to {version}$"):
            releases.push(content)
    assert len(releases.contents()) == 5


def test_a_rollback_can_restore_a_rolled_back_model(releases: Releases) -> None:
    releases.push("a", "b")
    releases.roll_back()
    releases.roll_back(2)
    assert releases.contents() == ["a", "b", "a", "b"]
    assert list(releases.store.rolled_back_models()) == [releases.store.read(1).model_sha256]


def test_a_damaged_version_without_a_manifest_can_be_rolled_back(releases: Releases) -> None:
    releases.push("a", "b")
    (releases.path(2) / "saved_model.pb").write_text("damaged")
    (releases.path(2) / RELEASE_FILE).unlink()
    releases.roll_back()
    assert releases.contents() == ["a", "damaged", "a"]
    damaged = directory_sha256(releases.path(2))
    assert list(releases.store.rolled_back_models()) == [model_sha256(damaged)]


def test_a_rollback_replaces_a_damaged_newest_version(releases: Releases) -> None:
    """TensorFlow Serving doesn't verify files, so it serves the damaged version until then."""
    releases.push("a", "b")
    (releases.path(2) / "saved_model.pb").write_text("damaged")
    assert releases.store.live() == 1
    assert releases.roll_back() == 3
    assert releases.contents() == ["a", "damaged", "a"]
    assert releases.store.live() == 3


def test_a_damaged_version_cannot_be_restored(releases: Releases) -> None:
    releases.push("a", "b")
    (releases.path(1) / "variables" / "data").write_text("damaged")
    with pytest.raises(RollbackError, match=r"version 1: variables/data has changed\. Choose"):
        releases.roll_back()
    assert releases.contents() == ["a", "b"]


@pytest.mark.parametrize(
    ("to_version", "message"),
    [
        (7, r"Version 7 doesn't exist\. Choose one of 1, 2\."),
        (2, r"The newest version, 2, already has the model of version 2\."),
    ],
)
def test_an_invalid_target_is_rejected(releases: Releases, to_version: int, message: str) -> None:
    releases.push("a", "b")
    with pytest.raises(RollbackError, match=message):
        releases.roll_back(to_version)
    assert releases.contents() == ["a", "b"]


def test_a_rollback_without_releases_creates_nothing(releases: Releases) -> None:
    with pytest.raises(RollbackError, match="No releases found in"):
        releases.roll_back()
    assert not releases.store.model_dir.exists()


def test_a_killed_rollback_changes_nothing(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.push("a", "b")

    class Killed(BaseException):
        """Simulates a kill: no handler catches it."""

    def kill(source: Path, target: Path) -> None:
        raise Killed

    monkeypatch.setattr(Path, "rename", kill)
    with pytest.raises(Killed):
        releases.roll_back()
    monkeypatch.undo()
    assert releases.contents() == ["a", "b"]
    releases.roll_back()
    assert releases.contents() == ["a", "b", "a"]
    assert sorted(path.name for path in releases.store.model_dir.iterdir()) == [
        ".push.lock",
        "1",
        "2",
        "3",
    ]


def test_a_manifest_without_the_field_rollback_can_be_read(releases: Releases) -> None:
    releases.push("a", "b")
    path = releases.path(1) / RELEASE_FILE
    text = path.read_text()
    assert '\n  "rollback": null,' in text
    path.write_text(text.replace('\n  "rollback": null,', ""))
    releases.roll_back()
    assert releases.contents() == ["a", "b", "a"]


def test_a_release_with_missing_preprocessing_cannot_be_restored(releases: Releases) -> None:
    releases.push("a", "b")
    manifest = releases.path(1) / RELEASE_FILE
    release = releases.store.read(1)
    data = release.data.model_copy(update={"picture_preprocessing": "models.gone.prepare"})
    manifest.write_text(release.model_copy(update={"data": data}).to_json())
    with pytest.raises(RollbackError, match=r"Can't roll back to version 1: .* no longer exists"):
        releases.roll_back(1)
    assert releases.contents() == ["a", "b"]
