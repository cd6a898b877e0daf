"""The set-up's choices, installations and errors, with real interpreters, pip and uv."""

from __future__ import annotations

import os
import re
import shutil
import signal
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.stacks.conftest import Machine

PLATFORMS = Path(__file__).parents[2] / "docs" / "platforms.md"


def with_python(machine: Machine) -> Machine:
    machine.command(f"python{machine.version}", machine.interpreter)
    return machine


def error_line(machine: Machine, **environment: str) -> str:
    """Runs the set-up, which must fail, and returns its one-line error."""
    status, _, errors = machine.set_up(**environment)
    assert status == 1
    assert errors.count("\n") == 1, errors
    assert not machine.environment.exists()
    return errors


@pytest.mark.parametrize(
    ("glibc", "stack"),
    [("2.17", "compat"), ("2.38", "compat"), ("2.39", "current"), ("2.41", "current")],
)
def test_glibc_decides_the_stack(machine: Machine, glibc: str, stack: str) -> None:
    machine.glibc(glibc)
    _, output, _ = machine.set_up()
    assert output == f"set-up: stack {stack} (glibc is {glibc}, and current needs 2.39)\n"


def test_compat_can_be_selected_where_current_would_run(machine: Machine) -> None:
    machine.glibc("2.41")
    _, output, _ = machine.set_up(STACK="compat")
    assert output == "set-up: stack compat (STACK=compat)\n"


def test_current_is_rejected_where_it_cannot_run(machine: Machine) -> None:
    machine.glibc("2.36")
    assert "stack current needs glibc 2.39, found 2.36: " in error_line(machine, STACK="current")


def test_an_unknown_stack_is_rejected(machine: Machine) -> None:
    assert "compat or current, received 'latest'" in error_line(machine, STACK="latest")


def test_an_older_glibc_is_rejected(machine: Machine) -> None:
    machine.glibc("2.12")
    assert "TFX needs glibc 2.17 or newer, found 2.12" in error_line(machine)


def test_a_system_without_glibc_is_rejected(machine: Machine) -> None:
    machine.script("getconf", "exit 1")
    assert "TFX needs glibc 2.17 or newer, found none" in error_line(machine)


def other_platform(machine: Machine, kernel: str, processor: str) -> str:
    """Runs the set-up on another platform without flock, and returns stderr."""
    (machine.commands / "flock").unlink()
    machine.script("uname", f'case $1 in -s) echo "{kernel}" ;; -m) echo "{processor}" ;; esac')
    machine.script("getconf", "exit 1")
    status, output, errors = machine.set_up()
    assert (status, output) == (1, "")
    assert not machine.environment.exists()
    rule, *_ = errors.splitlines()
    assert rule.startswith("set-up: expected Linux on x86-64, ")
    assert rule.endswith(f"received {kernel} {processor}.")
    return errors


def command_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}[^\n]*\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("kernel", "processor"),
    [("Darwin", "arm64"), ("Darwin", "x86_64"), ("Linux", "aarch64"), ("FreeBSD", "amd64")],
)
def test_other_platforms_get_the_documented_container_commands(
    machine: Machine, kernel: str, processor: str
) -> None:
    errors = other_platform(machine, kernel, processor)
    commands = textwrap.dedent(errors.split("\n\n")[1]) + "\n"
    assert "docker run " in commands
    assert commands in command_blocks(PLATFORMS, "sh")


@pytest.mark.parametrize(
    "kernel", ["MINGW64_NT-10.0-22631", "MSYS_NT-10.0-22631", "CYGWIN_NT-10.0"]
)
def test_windows_gets_the_documented_wsl_command(machine: Machine, kernel: str) -> None:
    errors = other_platform(machine, kernel, "x86_64")
    assert textwrap.dedent(errors.split("\n\n")[1]) + "\n" in command_blocks(
        PLATFORMS, "powershell"
    )


@pytest.mark.parametrize(("glibc", "version"), [("2.36", "3.10"), ("2.41", "3.13")])
def test_a_missing_interpreter_is_reported_in_one_line(
    machine: Machine, glibc: str, version: str
) -> None:
    machine.glibc(glibc)
    assert error_line(machine) == (
        f"set-up: no usable Python {version} on PATH or in pyenv, and uv is absent: install uv "
        f"(`pip install uv`), or Python {version} with its venv module, and try again\n"
    )


def test_a_failed_download_is_reported_in_one_line(machine: Machine) -> None:
    machine.uv()
    version = "3.10" if machine.version == "3.10" else "3.13"
    status, _, errors = machine.set_up()
    assert status == 1
    assert errors.splitlines()[-1].endswith(
        f"and uv could not download one: install Python {version} with its venv module, "
        "and try again"
    )


def test_an_interpreter_with_a_misleading_name_is_skipped(machine: Machine) -> None:
    machine.glibc("2.41")
    other = "3.12" if machine.version != "3.12" else "3.11"
    machine.command(f"python{other}", machine.interpreter)
    assert "no usable Python" in error_line(machine)


@pytest.mark.parametrize("module", ["sqlite3", "ensurepip"])
def test_an_interpreter_that_lacks_a_module_is_skipped(machine: Machine, module: str) -> None:
    (machine.folder / f"{module}.py").write_text("raise ImportError")
    machine.script(
        f"python{machine.version}", f'PYTHONPATH={machine.folder} {machine.interpreter} "$@"'
    )
    assert "no usable Python" in error_line(machine)


def test_a_missing_compiler_is_reported_if_a_package_must_be_built(machine: Machine) -> None:
    if machine.version != "3.10":
        pytest.skip("only Python 3.10 has to build a package")
    (machine.commands / "c++").unlink()
    assert "install a C++ compiler (g++)" in error_line(with_python(machine))


def test_a_failing_shim_is_skipped_for_the_interpreter_in_pyenv(
    machine: Machine,
) -> None:
    machine.uv()
    machine.script(f"python{machine.version}", 'echo "pyenv: command not found" >&2', "exit 127")
    inside = machine.pyenv / "versions" / f"{machine.version}.1" / "bin"
    inside.mkdir(parents=True)
    (inside / f"python{machine.version}").symlink_to(machine.interpreter)
    status, output, errors = machine.set_up()
    assert (status, errors) == (0, "")
    assert f"for {machine.interpreter} with" in output
    assert machine.is_ready()


def test_pip_installs_if_uv_is_absent_and_a_second_call_does_nothing(machine: Machine) -> None:
    with_python(machine)
    status, output, errors = machine.set_up()
    assert (status, errors) == (0, "")
    assert "with pip" in output
    assert machine.is_ready()
    # Another installation would delete this file.
    (machine.environment / "kept").touch()
    status, output, errors = machine.set_up()
    assert (status, output.count("\n"), errors) == (0, 1, "")
    assert (machine.environment / "kept").exists()


def test_uv_installs_if_it_is_present_and_the_packages_have_bytecode(machine: Machine) -> None:
    with_python(machine).uv()
    status, _, errors = machine.set_up(PYTHONDONTWRITEBYTECODE="1")
    assert (status, errors) == (0, "")
    assert machine.is_ready()
    packages = next(machine.environment.glob("lib/python*/site-packages"))
    assert not (packages / "pip").exists()
    assert list((packages / "setuptools" / "__pycache__").glob("__init__.*.pyc"))


def test_pip_installs_if_uv_fails(machine: Machine) -> None:
    with_python(machine).uv()
    status, output, _ = machine.set_up(UV_OFFLINE="1", UV_CACHE_DIR=str(machine.folder / "empty"))
    assert status == 0
    assert "uv could not install it, trying pip" in output
    assert machine.is_ready()


def test_a_package_with_another_hash_is_rejected(machine: Machine) -> None:
    with_python(machine).uv()
    lock = machine.checkout / "stacks" / "build.txt"
    name = lock.read_text().split("\n")[2]
    lock.write_text(f"{name}\n    --hash=sha256:{'0' * 64}\n")
    status, _, errors = machine.set_up()
    assert status == 1
    assert "the installation failed; the lines above say why" in errors
    assert not machine.is_ready()


def test_a_killed_set_up_is_repeated(machine: Machine) -> None:
    with_python(machine).uv()
    process = machine.start()
    while not list(machine.environment.glob("lib/python*/site-packages/setuptools")):
        assert process.poll() is None, "ended before a package was there"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not machine.is_ready()
    status, output, _ = machine.set_up()
    assert status == 0
    assert "installing it" in output
    assert machine.is_ready()


@pytest.mark.parametrize("changed", ["lock", "setup.py", "place", "interpreter"])
def test_a_changed_project_is_installed_again(machine: Machine, changed: str) -> None:
    with_python(machine).uv()
    machine.set_up()
    if changed == "lock":
        for lock in machine.checkout.glob("stacks/c*.txt"):
            lock.write_text(lock.read_text() + "\n")
    elif changed == "setup.py":
        script = machine.checkout / "setup.py"
        script.write_text(script.read_text() + "\n")
    elif changed == "place":
        machine.checkout = machine.checkout.rename(machine.folder / "moved")
    else:
        (machine.environment / "bin" / "python").unlink()
    status, output, _ = machine.set_up()
    assert status == 0
    assert "installing it" in output
    assert machine.is_ready()


def test_tools_of_an_activated_environment_do_not_replace_it(
    machine: Machine,
) -> None:
    with_python(machine).uv()
    machine.set_up()
    shutil.copy(machine.commands / "uv", machine.environment / "bin" / "uv")
    for name in ("uv", f"python{machine.version}"):
        (machine.commands / name).unlink()
    (machine.environment / ".ready").unlink()
    status, output, errors = machine.set_up(
        PATH=f"{machine.environment / 'bin'}:{machine.commands}",
        VIRTUAL_ENV=str(machine.environment),
    )
    assert (status, errors) == (0, "")
    assert f"for {machine.interpreter} with pip" in output
    assert machine.is_ready()


def test_a_concurrent_set_up_waits_and_does_nothing(machine: Machine) -> None:
    with_python(machine).uv()
    processes = [machine.start(), machine.start()]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("installing it" in output for output in outputs) == 1
    assert machine.is_ready()
