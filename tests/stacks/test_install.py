"""The set-up's choices, installations and refusals, with real interpreters, pip and uv."""

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


def refusal(machine: Machine, **environment: str) -> str:
    """Sets up, which must fail, and returns the one line that says why."""
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


def test_compat_can_be_asked_for_where_current_would_run(machine: Machine) -> None:
    machine.glibc("2.41")
    _, output, _ = machine.set_up(STACK="compat")
    assert output == "set-up: stack compat (STACK=compat)\n"


def test_current_is_refused_where_it_cannot_run(machine: Machine) -> None:
    machine.glibc("2.36")
    assert "stack current needs glibc 2.39, found 2.36: " in refusal(machine, STACK="current")


def test_an_unknown_stack_is_refused(machine: Machine) -> None:
    assert "compat or current, received 'latest'" in refusal(machine, STACK="latest")


def test_an_older_glibc_is_refused(machine: Machine) -> None:
    machine.glibc("2.12")
    assert "TFX needs glibc 2.17 or newer, found 2.12" in refusal(machine)


def test_a_system_without_glibc_is_refused(machine: Machine) -> None:
    machine.script("getconf", "exit 1")
    assert "TFX needs glibc 2.17 or newer, found none" in refusal(machine)


def other_platform(machine: Machine, kernel: str, processor: str) -> str:
    """Sets up on another platform, whose commands lack flock; returns stderr."""
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
def test_no_interpreter_gives_one_line_that_says_what_to_install(
    machine: Machine, glibc: str, version: str
) -> None:
    machine.glibc(glibc)
    assert refusal(machine) == (
        f"set-up: no usable Python {version} on PATH or in pyenv, and uv is absent: install uv "
        f"(`pip install uv`), or Python {version} with its venv module, and try again\n"
    )


def test_a_download_that_fails_gives_that_line_too(machine: Machine) -> None:
    machine.uv()
    version = "3.10" if machine.version == "3.10" else "3.13"
    status, _, errors = machine.set_up()
    assert status == 1
    assert errors.splitlines()[-1].endswith(
        f"and uv could not download one: install Python {version} with its venv module, "
        "and try again"
    )


def test_an_interpreter_of_another_version_than_its_name_is_passed_over(machine: Machine) -> None:
    machine.glibc("2.41")
    other = "3.12" if machine.version != "3.12" else "3.11"
    machine.command(f"python{other}", machine.interpreter)
    assert "no usable Python" in refusal(machine)


@pytest.mark.parametrize("module", ["sqlite3", "ensurepip"])
def test_an_interpreter_that_lacks_a_module_is_passed_over(machine: Machine, module: str) -> None:
    (machine.folder / f"{module}.py").write_text("raise ImportError")
    machine.script(
        f"python{machine.version}", f'PYTHONPATH={machine.folder} {machine.interpreter} "$@"'
    )
    assert "no usable Python" in refusal(machine)


def test_a_missing_compiler_is_asked_for_where_a_package_must_be_built(machine: Machine) -> None:
    if machine.version != "3.10":
        pytest.skip("only Python 3.10 has to build a package")
    (machine.commands / "c++").unlink()
    assert "install a C++ compiler (g++)" in refusal(with_python(machine))


def test_a_shim_that_refuses_is_passed_over_for_the_interpreter_within_pyenv(
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


def test_pip_installs_where_uv_is_absent_and_a_second_call_does_nothing(machine: Machine) -> None:
    with_python(machine)
    status, output, errors = machine.set_up()
    assert (status, errors) == (0, "")
    assert "with pip" in output
    assert machine.is_ready()
    # An installation would replace the whole environment, and this file with it.
    (machine.environment / "kept").touch()
    status, output, errors = machine.set_up()
    assert (status, output.count("\n"), errors) == (0, 1, "")
    assert (machine.environment / "kept").exists()


def test_uv_installs_where_it_is_present_and_the_packages_have_bytecode(machine: Machine) -> None:
    with_python(machine).uv()
    status, _, errors = machine.set_up(PYTHONDONTWRITEBYTECODE="1")
    assert (status, errors) == (0, "")
    assert machine.is_ready()
    packages = next(machine.environment.glob("lib/python*/site-packages"))
    assert not (packages / "pip").exists()
    assert list((packages / "setuptools" / "__pycache__").glob("__init__.*.pyc"))


def test_pip_installs_where_uv_cannot(machine: Machine) -> None:
    with_python(machine).uv()
    status, output, _ = machine.set_up(UV_OFFLINE="1", UV_CACHE_DIR=str(machine.folder / "empty"))
    assert status == 0
    assert "uv could not install it, trying pip" in output
    assert machine.is_ready()


def test_a_package_whose_hash_differs_is_refused(machine: Machine) -> None:
    with_python(machine).uv()
    lock = machine.checkout / "stacks" / "build.txt"
    name = lock.read_text().split("\n")[2]
    lock.write_text(f"{name}\n    --hash=sha256:{'0' * 64}\n")
    status, _, errors = machine.set_up()
    assert status == 1
    assert "the installation failed; the lines above say why" in errors
    assert not machine.is_ready()


def test_a_killed_set_up_is_done_again(machine: Machine) -> None:
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


def test_an_activated_environment_does_not_lend_the_tools_that_replace_it(
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


def test_of_two_set_ups_at_once_the_second_finds_the_work_done(machine: Machine) -> None:
    with_python(machine).uv()
    processes = [machine.start(), machine.start()]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("installing it" in output for output in outputs) == 1
    assert machine.is_ready()
