from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from components.common.checksums import directory_sha256
from components.releases import store as release
from components.releases.manifest import RELEASE_FILE, read_release, release_problems
from components.releases.store import PushError, model_directory, push
from components.releases.versions import MAX_VERSION, list_versions


def no_check(staging: Path) -> None:
    """Approves."""


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "mnist"


def visible(model_dir: Path) -> list[str]:
    return sorted(path.name for path in model_dir.iterdir() if not path.name.startswith("."))


def hidden(model_dir: Path) -> list[str]:
    return sorted(path.name for path in model_dir.iterdir() if path.name.startswith("."))


def test_model_becomes_a_version_named_after_the_time(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    source = make_model("a")
    pushed = push(source, model_dir, describe, no_check, lambda: 1000.7)
    assert (pushed.version, pushed.path) == (1000, model_dir / "1000")
    assert not pushed.up_to_date
    assert directory_sha256(pushed.path, leave_out=[RELEASE_FILE]) == directory_sha256(source)
    assert (pushed.path / "assets").is_dir(), "empty directories are part of a SavedModel"
    assert read_release(pushed.path).version == 1000
    assert release_problems(pushed.path) == []
    assert visible(model_dir) == ["1000"]
    assert hidden(model_dir) == [release.LOCK_FILE]


def test_server_of_another_user_can_read_a_release(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    previous = os.umask(0o022)
    try:
        path = push(make_model("a"), model_dir, describe, no_check).path
    finally:
        os.umask(previous)
    for entry in [path, *path.rglob("*")]:
        assert entry.stat().st_mode & 0o044 == 0o044, entry


def test_same_model_again_is_up_to_date(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    source = make_model("a")
    first = push(source, model_dir, describe, no_check, lambda: 1000.0)
    again = push(source, model_dir, describe, no_check, lambda: 2000.0)
    assert again.up_to_date
    assert (again.version, again.path) == (first.version, first.path)
    assert visible(model_dir) == ["1000"]


def test_model_older_than_the_newest_is_pushed_again(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    a, b = make_model("a"), make_model("b")
    for source in (a, b, a):
        push(source, model_dir, describe, no_check, lambda: 1000.0)
    assert visible(model_dir) == ["1000", "1001", "1002"]
    assert (model_dir / "1002" / "saved_model.pb").read_text() == "a"


@pytest.mark.parametrize("damage", ["changed", "missing", "extra", "no manifest", "manifest"])
def test_damaged_newest_version_is_not_up_to_date(  # type: ignore[no-untyped-def]
    make_model, describe, model_dir, damage: str
) -> None:
    source = make_model("a")
    newest = push(source, model_dir, describe, no_check, lambda: 1000.0).path
    if damage == "changed":
        (newest / "saved_model.pb").write_text("b")
    elif damage == "missing":
        (newest / "variables" / "data").unlink()
    elif damage == "extra":
        (newest / "extra").touch()
    elif damage == "no manifest":
        (newest / RELEASE_FILE).unlink()
    else:
        manifest = json.loads((newest / RELEASE_FILE).read_text())
        del manifest["files"]["saved_model.pb"]
        (newest / RELEASE_FILE).write_text(json.dumps(manifest))
    assert push(source, model_dir, describe, no_check, lambda: 1000.0).version == 1001


def test_versions_grow_when_the_clock_goes_back(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    push(make_model("a"), model_dir, describe, no_check, lambda: 5000.0)
    assert push(make_model("b"), model_dir, describe, no_check, lambda: 100.0).version == 5001


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_version_of_someone_else_counts_and_stays(  # type: ignore[no-untyped-def]
    make_model, describe, model_dir, kind: str
) -> None:
    model_dir.mkdir(parents=True)
    theirs = model_dir / "9000"
    theirs.mkdir() if kind == "directory" else theirs.write_text("theirs")
    before = theirs.stat()
    assert push(make_model("a"), model_dir, describe, no_check, lambda: 1000.0).version == 9001
    assert (theirs.stat().st_ino, theirs.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_version_that_appears_during_the_push_is_not_overwritten(  # type: ignore[no-untyped-def]
    make_model, describe, model_dir
) -> None:
    with pytest.raises(PushError, match="1000 appeared meanwhile"):
        push(
            make_model("a"),
            model_dir,
            describe,
            check=lambda staging: (model_dir / "1000").mkdir(),
            clock=lambda: 1000.0,
        )
    assert list((model_dir / "1000").iterdir()) == []
    assert hidden(model_dir) == [release.LOCK_FILE]


def test_nothing_comes_after_the_last_version(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    (model_dir / str(MAX_VERSION)).mkdir(parents=True)
    with pytest.raises(PushError, match=f"Expected a newest version below {MAX_VERSION}"):
        push(make_model("a"), model_dir, describe, no_check)


def test_check_sees_the_finished_copy_and_calls_the_push_off(  # type: ignore[no-untyped-def]
    make_model, describe, model_dir
) -> None:
    seen: list[set[str]] = []

    def refuse(staging: Path) -> None:
        seen.append({path.name for path in staging.iterdir()})
        assert visible(model_dir) == [], "nothing is visible before the check"
        raise PushError("no good")

    with pytest.raises(PushError, match=r"^no good$"):
        push(make_model("a"), model_dir, describe, refuse)
    assert seen == [{"saved_model.pb", "variables", "assets", RELEASE_FILE}]
    assert visible(model_dir) == []
    assert hidden(model_dir) == [release.LOCK_FILE]


def test_copy_that_differs_from_the_model_is_not_pushed(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    source = make_model("a")

    def corrupting_describe(version, now, files):  # type: ignore[no-untyped-def]
        (model_dir / f".staging-{version}" / "variables" / "data").write_text("flipped")
        return describe(version, now, files)

    with pytest.raises(
        PushError, match=r"Expected the copy to equal the model, but variables/data"
    ):
        push(source, model_dir, corrupting_describe, no_check)
    assert visible(model_dir) == []


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_source_must_be_a_saved_model(describe, model_dir, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    source = tmp_path / "source"
    if kind == "empty":
        source.mkdir()
    elif kind == "file":
        source.touch()
    with pytest.raises(PushError, match=r"Expected a SavedModel in .*/source, found no saved_mod"):
        push(source, model_dir, describe, no_check)


def test_every_file_and_directory_is_synced_before_the_rename(  # type: ignore[no-untyped-def]
    make_model, describe, model_dir, monkeypatch
) -> None:
    order: list[str] = []
    sync, rename = os.fsync, Path.rename

    def recording_sync(descriptor: int) -> None:
        order.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def recording_rename(path: Path, target: Path) -> Path:
        order.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", recording_sync)
    monkeypatch.setattr(Path, "rename", recording_rename)
    push(make_model("a"), model_dir, describe, no_check, lambda: 1000.0)
    staging = model_dir / ".staging-1000"
    names = ["", "saved_model.pb", "variables", "variables/data", "assets", RELEASE_FILE]
    assert sorted(order[: len(names)]) == sorted(str(staging / name) for name in names)
    assert order[len(names) :] == ["rename", str(model_dir)]


def test_unusable_directory_gives_one_clear_line(make_model, describe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "serving").write_text("a file where the directory should be")
    with pytest.raises(PushError, match=r"Can't push to .*/serving/mnist: .*Not a directory") as e:
        push(make_model("a"), tmp_path / "serving" / "mnist", describe, no_check)
    assert "\n" not in str(e.value)
    assert "see to it that the directory is writable and has room" in str(e.value)


def test_full_disk_leaves_nothing_behind(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    model_dir.mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    source = make_model("a")
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(PushError, match=f"Can't push to .*{os.strerror(errno.EFBIG)}"):
            push(source, model_dir, describe, no_check)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert visible(model_dir) == []
    assert hidden(model_dir) == [release.LOCK_FILE]
    push(source, model_dir, describe, no_check, lambda: 1000.0)
    assert visible(model_dir) == ["1000"]


def test_push_gives_up_on_a_lock_that_is_held(make_model, describe, model_dir, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(release, "LOCK_SECONDS", 0.1)
    source, other = make_model("a"), make_model("b")
    errors: list[str] = []

    def push_meanwhile(staging: Path) -> None:
        result = _run(PUSH, str(other), str(model_dir), "0.1")
        errors.append(result.stderr.strip().splitlines()[-1])

    push(source, model_dir, describe, push_meanwhile, lambda: 1000.0)
    assert "Another push has held" in errors[0]
    assert "try again when it has ended" in errors[0]
    assert visible(model_dir) == ["1000"]


@pytest.mark.parametrize("serving_dir", ["gs://bucket/models", "s3://bucket", "hdfs://host/x"])
def test_url_is_refused(serving_dir: str) -> None:
    with pytest.raises(PushError, match=f"to be a local path, received '{serving_dir}'"):
        model_directory(serving_dir, "mnist")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "-rf", "a b"])
def test_name_unfit_for_a_directory_is_refused(name: str) -> None:
    with pytest.raises(PushError, match="Expected the model's name to be of letters"):
        model_directory("/serving", name)


def test_models_have_directories_of_their_own() -> None:
    assert model_directory("/serving", "mnist") == Path("/serving/mnist")


# For processes of their own: <source> <model_dir> <lock seconds> [<crash>], describing as the
# fixture does. With "copy" the process kills itself at its second file, with "check" when all is
# copied.
PUSH = textwrap.dedent(
    """
    import os, signal, sys
    from datetime import datetime, timezone
    from pathlib import Path
    from components.releases import store as release
    from components.common.provenance import Data
    from components.releases.manifest import Release

    source, model_dir, seconds, crash = [*sys.argv[1:], ""][:4]
    release.LOCK_SECONDS = float(seconds)
    copied = []

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(event, arguments):
        if crash == "copy" and event == "shutil.copyfile":
            copied.append(arguments)
            if len(copied) == 2:
                die()

    def describe(version, now, files):
        return Release(
            model="mnist", version=version, created=datetime.fromtimestamp(now, timezone.utc),
            model_sha256="", metrics={}, checks=(), git=None, packages={}, ml_metadata={},
            data=Data(source=None, fingerprint=None, counts={}), files=dict(files),
        )

    sys.addaudithook(watch)
    pushed = release.push(
        Path(source), Path(model_dir), describe,
        check=lambda staging: die() if crash == "check" else None, clock=lambda: 1000.0,
    )
    print(pushed.version)
    """
)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", *arguments], capture_output=True, text=True, check=False
    )


def test_pushes_at_once_get_versions_of_their_own(make_model, model_dir) -> None:  # type: ignore[no-untyped-def]
    sources = [make_model(letter) for letter in "abcdefgh"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUSH, str(source), str(model_dir), "60"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for source in sources
    ]
    outputs = [process.communicate()[0] for process in processes]
    pushed = {int(output): source for output, source in zip(outputs, sources, strict=True)}
    assert [process.returncode for process in processes] == [0] * len(sources)
    assert sorted(pushed) == list(range(1000, 1008))
    assert sorted(list_versions(model_dir)) == sorted(pushed)
    for version, source in pushed.items():
        version_dir = model_dir / str(version)
        assert release_problems(version_dir) == []
        assert (version_dir / "saved_model.pb").read_text() == source.name[-1]
    assert hidden(model_dir) == [release.LOCK_FILE]


def test_pushes_of_one_model_at_once_make_one_version(make_model, model_dir) -> None:  # type: ignore[no-untyped-def]
    source = make_model("a")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUSH, str(source), str(model_dir), "60"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [process.communicate()[0].strip() for process in processes] == ["1000"] * 4
    assert visible(model_dir) == ["1000"]


@pytest.mark.parametrize("moment", ["copy", "check"])
def test_killed_push_leaves_nothing_visible_and_the_next_cleans_up(  # type: ignore[no-untyped-def]
    make_model, describe, model_dir, moment: str
) -> None:
    source = make_model("a")
    push(make_model("before"), model_dir, describe, no_check, lambda: 500.0)
    result = _run(PUSH, str(source), str(model_dir), "60", moment)
    assert result.returncode == -signal.SIGKILL
    assert visible(model_dir) == ["500"]
    assert release_problems(model_dir / "500") == []
    assert ".staging-1000" in hidden(model_dir)
    staged = [path for path in (model_dir / ".staging-1000").rglob("*") if path.is_file()]
    assert len(staged) == {"copy": 1, "check": 3}[moment]

    pushed = push(source, model_dir, describe, no_check, lambda: 2000.0)
    assert visible(model_dir) == ["2000", "500"]
    assert hidden(model_dir) == [release.LOCK_FILE]
    assert release_problems(pushed.path) == []


def test_manifest_is_json_for_any_tool(make_model, describe, model_dir) -> None:  # type: ignore[no-untyped-def]
    path = push(make_model("a"), model_dir, describe, no_check).path
    assert json.loads((path / RELEASE_FILE).read_text())["metrics"] == {"accuracy": 0.99}
