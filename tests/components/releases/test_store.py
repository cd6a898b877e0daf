from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.release_fixtures import ACCURACY, MakeModel, checksum, no_check, release_facts

from components.common.checksums import directory_sha256
from components.releases import writing
from components.releases.manifest import RELEASE_FILE, read_release, release_problems
from components.releases.store import ReleaseStore, model_directory
from components.releases.versions import MAX_VERSION, list_versions
from components.releases.writing import Pushed, PushError, RefusedModelError


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "models"


def push(
    source: Path,
    model_dir: Path,
    check: Callable[[Path], None] = no_check,
    clock: Callable[[], float] = time.time,
) -> Pushed:
    return ReleaseStore(model_dir).push(source, release_facts(), checksum(source), check, clock)


def visible(model_dir: Path) -> list[str]:
    return sorted(path.name for path in model_dir.iterdir() if not path.name.startswith("."))


def hidden(model_dir: Path) -> list[str]:
    return sorted(path.name for path in model_dir.iterdir() if path.name.startswith("."))


def test_a_pushed_model_becomes_a_version_named_after_the_time(
    make_model: MakeModel, model_dir: Path
) -> None:
    source = make_model("a")
    pushed = push(source, model_dir, no_check, lambda: 1000.7)
    assert (pushed.version, pushed.path) == (1000, model_dir / "1000")
    assert not pushed.up_to_date
    assert directory_sha256(pushed.path, exclude=[RELEASE_FILE]) == directory_sha256(source)
    assert (pushed.path / "assets").is_dir(), "empty directories are part of a SavedModel"
    assert read_release(pushed.path).version == 1000
    assert release_problems(pushed.path) == []
    assert visible(model_dir) == ["1000"]
    assert hidden(model_dir) == [writing.LOCK_FILE]


def test_a_release_is_readable_by_other_users(make_model: MakeModel, model_dir: Path) -> None:
    previous = os.umask(0o022)
    try:
        path = push(make_model("a"), model_dir, no_check).path
    finally:
        os.umask(previous)
    for entry in [path, *path.rglob("*")]:
        assert entry.stat().st_mode & 0o044 == 0o044, entry


def test_pushing_the_same_model_twice_is_up_to_date(make_model: MakeModel, model_dir: Path) -> None:
    source = make_model("a")
    first = push(source, model_dir, no_check, lambda: 1000.0)
    second = push(source, model_dir, no_check, lambda: 2000.0)
    assert second.up_to_date
    assert (second.version, second.path) == (first.version, first.path)
    assert visible(model_dir) == ["1000"]


def test_an_earlier_model_can_be_pushed_again(make_model: MakeModel, model_dir: Path) -> None:
    a, b = make_model("a"), make_model("b")
    for source in (a, b, a):
        push(source, model_dir, no_check, lambda: 1000.0)
    assert visible(model_dir) == ["1000", "1001", "1002"]
    assert (model_dir / "1002" / "saved_model.pb").read_text() == "a"


@pytest.mark.parametrize("damage", ["changed", "missing", "extra", "no manifest", "manifest"])
def test_a_damaged_newest_version_is_not_up_to_date(
    make_model: MakeModel, model_dir: Path, damage: str
) -> None:
    source = make_model("a")
    newest = push(source, model_dir, no_check, lambda: 1000.0).path
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
    assert push(source, model_dir, no_check, lambda: 1000.0).version == 1001


def test_versions_increase_even_if_the_clock_is_set_back(
    make_model: MakeModel, model_dir: Path
) -> None:
    push(make_model("a"), model_dir, no_check, lambda: 5000.0)
    assert push(make_model("b"), model_dir, no_check, lambda: 100.0).version == 5001


def test_the_live_version_is_the_highest_that_matches_its_manifest(
    make_model: MakeModel, model_dir: Path
) -> None:
    store = ReleaseStore(model_dir)
    assert store.live() is None
    push(make_model("a"), model_dir, clock=lambda: 1.0)
    push(make_model("b"), model_dir, clock=lambda: 2.0)
    (model_dir / "3").mkdir()
    (model_dir / "4").write_text("a file")
    assert (store.live(), list(store.servable())) == (2, [2, 1])
    (model_dir / "2" / "variables" / "data").unlink()
    assert (store.live(), list(store.servable())) == (1, [2, 1])
    (model_dir / "2" / RELEASE_FILE).unlink()
    assert store.live() == 2, "a model from another tool has no manifest"
    (model_dir / "2" / RELEASE_FILE).write_text("{}")
    assert store.live() == 1, "a malformed manifest counts as damage"


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_a_version_of_another_tool_is_preserved(
    make_model: MakeModel, model_dir: Path, kind: str
) -> None:
    model_dir.mkdir(parents=True)
    other = model_dir / "9000"
    other.mkdir() if kind == "directory" else other.write_text("other")
    before = other.stat()
    assert push(make_model("a"), model_dir, no_check, lambda: 1000.0).version == 9001
    assert (other.stat().st_ino, other.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_version_created_during_the_push_is_not_overwritten(
    make_model: MakeModel, model_dir: Path
) -> None:
    with pytest.raises(PushError, match="1000 was created by another process"):
        push(
            make_model("a"),
            model_dir,
            check=lambda staging: (model_dir / "1000").mkdir(),
            clock=lambda: 1000.0,
        )
    assert list((model_dir / "1000").iterdir()) == []
    assert hidden(model_dir) == [writing.LOCK_FILE]


def test_nothing_can_be_pushed_above_the_maximum_version(
    make_model: MakeModel, model_dir: Path
) -> None:
    (model_dir / str(MAX_VERSION)).mkdir(parents=True)
    with pytest.raises(PushError, match=f"version {MAX_VERSION} is the largest that TensorFlow"):
        push(make_model("a"), model_dir, no_check)


def test_a_failed_check_of_the_complete_copy_cancels_the_push(
    make_model: MakeModel, model_dir: Path
) -> None:
    seen: list[set[str]] = []

    def fail(staging: Path) -> None:
        seen.append({path.name for path in staging.iterdir()})
        assert visible(model_dir) == [], "nothing is published before the check"
        raise PushError("check failed")

    with pytest.raises(PushError, match=r"^check failed$"):
        push(make_model("a"), model_dir, fail)
    assert seen == [{"saved_model.pb", "variables", "assets", RELEASE_FILE}]
    assert visible(model_dir) == []
    assert hidden(model_dir) == [writing.LOCK_FILE]


def test_a_copy_that_differs_from_the_model_is_not_published(
    make_model: MakeModel, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def corrupting_sync(descriptor: int) -> None:
        sync(descriptor)
        for copy in model_dir.glob(".staging-*/variables/data"):
            copy.write_text("corrupted")

    monkeypatch.setattr(os, "fsync", corrupting_sync)
    with pytest.raises(
        PushError, match=r"The copy changed during the push: variables/data\. Nothing"
    ):
        push(make_model("a"), model_dir)
    assert visible(model_dir) == []


def test_a_model_swapped_while_the_push_waits_for_the_lock_is_refused(
    make_model: MakeModel, model_dir: Path
) -> None:
    source = make_model("a")
    approved = checksum(source)
    with ThreadPoolExecutor() as threads:
        with writing.releasing(model_dir):
            waiting = threads.submit(
                ReleaseStore(model_dir).push, source, release_facts(), approved, no_check
            )
            (source / "variables" / "data").write_text("swapped")
        with pytest.raises(RefusedModelError, match=f"SHA-256 {approved}, but .* has SHA-256"):
            waiting.result()
    assert visible(model_dir) == []
    assert hidden(model_dir) == [writing.LOCK_FILE]


def test_a_model_swapped_during_the_copy_is_refused(
    make_model: MakeModel, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile

    def swapping_copy(source: str, target: str) -> object:
        Path(source).write_text("swapped")
        return copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", swapping_copy)
    with pytest.raises(RefusedModelError, match="Nothing was pushed"):
        push(make_model("a"), model_dir)
    assert visible(model_dir) == []


@pytest.mark.parametrize("name", ["link", "variables/link"])
@pytest.mark.parametrize("target", ["saved_model.pb", "assets", "/etc/hostname", "absent"])
def test_symbolic_links_are_refused(
    make_model: MakeModel, model_dir: Path, name: str, target: str
) -> None:
    source = make_model("a")
    (source / name).symlink_to(target if target.startswith("/") else source / target)
    with pytest.raises(RefusedModelError, match=rf"symbolic links, received {name}\. Nothing"):
        push(source, model_dir)
    assert visible(model_dir) == []


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_the_source_must_be_a_saved_model(model_dir: Path, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "empty":
        source.mkdir()
    elif kind == "file":
        source.touch()
    with pytest.raises(
        RefusedModelError, match=r"^expected a SavedModel in .*/source, found no saved_model"
    ):
        push(source, model_dir, no_check)


def test_every_file_and_directory_is_synced_before_the_rename(
    make_model: MakeModel, model_dir: Path, monkeypatch: pytest.MonkeyPatch
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
    push(make_model("a"), model_dir, no_check, lambda: 1000.0)
    staging = model_dir / ".staging-1000"
    names = ["", "saved_model.pb", "variables", "variables/data", "assets", RELEASE_FILE]
    assert sorted(order[: len(names)]) == sorted(str(staging / name) for name in names)
    assert order[len(names) :] == ["rename", str(model_dir)]


def test_an_unusable_directory_is_reported_in_one_line(
    make_model: MakeModel, tmp_path: Path
) -> None:
    (tmp_path / "serving").write_text("a file where the directory should be")
    with pytest.raises(PushError, match=r"Can't push to .*/serving/models: .*Not a directory") as e:
        push(make_model("a"), tmp_path / "serving" / "models", no_check)
    assert "\n" not in str(e.value)
    assert "Check that the directory is writable and the disk is not full" in str(e.value)


def test_a_full_disk_leaves_no_partial_version(make_model: MakeModel, model_dir: Path) -> None:
    model_dir.mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    source = make_model("a")
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(PushError, match=f"Can't push to .*{os.strerror(errno.EFBIG)}"):
            push(source, model_dir, no_check)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert visible(model_dir) == []
    assert hidden(model_dir) == [writing.LOCK_FILE]
    push(source, model_dir, no_check, lambda: 1000.0)
    assert visible(model_dir) == ["1000"]


def test_a_push_times_out_if_another_process_holds_the_lock(
    make_model: MakeModel, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LOCK_SECONDS", 0.1)
    source, other = make_model("a"), make_model("b")
    errors: list[str] = []

    def push_meanwhile(staging: Path) -> None:
        result = _run(PUSH, str(other), str(model_dir), "0.1")
        errors.append(result.stderr.strip().splitlines()[-1])

    push(source, model_dir, push_meanwhile, lambda: 1000.0)
    assert "Another push has held" in errors[0]
    assert "Try again after it ends" in errors[0]
    assert visible(model_dir) == ["1000"]


@pytest.mark.parametrize("serving_dir", ["gs://bucket/models", "s3://bucket", "hdfs://host/x"])
def test_a_url_is_rejected(serving_dir: str) -> None:
    with pytest.raises(PushError, match=f"must be a local path, .* received '{serving_dir}'"):
        model_directory(serving_dir, "mnist")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "-rf", "a b"])
def test_an_invalid_model_name_is_rejected(name: str) -> None:
    with pytest.raises(PushError, match="The model name must consist of letters"):
        model_directory("/serving", name)


def test_each_model_has_its_own_directory() -> None:
    assert model_directory("/serving", "models") == Path("/serving/models")


# A script for subprocesses: <source> <model_dir> <lock seconds> [<crash>]. If <crash> is "copy",
# the process kills itself at the second file; if it is "check", after copying everything.
PUSH = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from support.release_fixtures import checksum, release_facts
    from components.releases import writing
    from components.releases.store import ReleaseStore

    source, model_dir, seconds, crash = [*sys.argv[1:], ""][:4]
    writing.LOCK_SECONDS = float(seconds)
    copied = []

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(event, arguments):
        if crash == "copy" and event == "shutil.copyfile":
            copied.append(arguments)
            if len(copied) == 2:
                die()

    sys.addaudithook(watch)
    pushed = ReleaseStore(Path(model_dir)).push(
        Path(source), release_facts(), checksum(Path(source)),
        check=lambda staging: die() if crash == "check" else None, clock=lambda: 1000.0,
    )
    print(pushed.version)
    """
)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )


def test_concurrent_pushes_get_different_versions(make_model: MakeModel, model_dir: Path) -> None:
    sources = [make_model(letter) for letter in "abcdefgh"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUSH, str(source), str(model_dir), "60"],
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
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
    assert hidden(model_dir) == [writing.LOCK_FILE]


def test_concurrent_pushes_of_one_model_create_one_version(
    make_model: MakeModel, model_dir: Path
) -> None:
    source = make_model("a")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUSH, str(source), str(model_dir), "60"],
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        for _ in range(4)
    ]
    assert [process.communicate()[0].strip() for process in processes] == ["1000"] * 4
    assert visible(model_dir) == ["1000"]


@pytest.mark.parametrize("moment", ["copy", "check"])
def test_the_next_push_cleans_up_after_a_killed_push(
    make_model: MakeModel, model_dir: Path, moment: str
) -> None:
    source = make_model("a")
    push(make_model("before"), model_dir, no_check, lambda: 500.0)
    result = _run(PUSH, str(source), str(model_dir), "60", moment)
    assert result.returncode == -signal.SIGKILL
    assert visible(model_dir) == ["500"]
    assert release_problems(model_dir / "500") == []
    assert ".staging-1000" in hidden(model_dir)
    staged = [path for path in (model_dir / ".staging-1000").rglob("*") if path.is_file()]
    assert len(staged) == {"copy": 1, "check": 3}[moment]

    pushed = push(source, model_dir, no_check, lambda: 2000.0)
    assert visible(model_dir) == ["2000", "500"]
    assert hidden(model_dir) == [writing.LOCK_FILE]
    assert release_problems(pushed.path) == []


def test_the_manifest_is_standard_json(make_model: MakeModel, model_dir: Path) -> None:
    path = push(make_model("a"), model_dir, no_check).path
    assert json.loads((path / RELEASE_FILE).read_text())["metrics"] == {"accuracy": ACCURACY}
