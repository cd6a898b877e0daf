"""Installation of a browser for the tests, with fake system commands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "stacks" / "install_chromium.sh"


class Machine:
    """A machine whose PATH contains only the commands in one folder."""

    def __init__(self, directory: Path) -> None:
        self.commands = directory / "bin"
        self.commands.mkdir()
        self.home = directory / "home"
        self.os_release = directory / "os-release"
        self.calls = directory / "calls"
        for name in ("sh", "grep"):
            found = shutil.which(name)
            assert found
            (self.commands / name).symlink_to(found)

    def add(self, name: str, script: str = "") -> None:
        file = self.commands / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n{script}\n')
        file.chmod(0o755)

    def is_debian(self, user: int = 0, apt_get: str = "") -> None:
        self.os_release.write_text('NAME="Debian GNU/Linux"\nID=debian\n')
        self.add("id", f"echo {user}")
        self.add("apt-get", apt_get)

    def run(self) -> str:
        """Runs the script, which must succeed, and returns its output."""
        environment = {
            "PATH": str(self.commands),
            "HOME": str(self.home),
            "OS_RELEASE": str(self.os_release),
        }
        return subprocess.run(
            [self.commands / "sh", SCRIPT],
            env=environment,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ).stdout

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", ["chromium", "google-chrome"])
def test_browser_of_the_system_is_enough(machine: Machine, name: str) -> None:
    machine.is_debian()
    machine.add(name)
    assert machine.run() == ""
    assert machine.called() == []


def test_browser_of_playwright_is_enough(machine: Machine) -> None:
    machine.is_debian()
    (machine.home / ".cache/ms-playwright/chromium-1234").mkdir(parents=True)
    assert machine.run() == ""
    assert machine.called() == []


def test_root_installs_the_package_of_debian(machine: Machine) -> None:
    machine.is_debian()
    assert machine.run() == "browser tests: installing Debian's Chromium\n"
    assert [call for call in machine.called() if call.startswith("apt-get")] == [
        "apt-get update",
        "apt-get install --yes --no-install-recommends chromium",
    ]


def test_failure_of_the_package_manager_is_ignored(machine: Machine) -> None:
    machine.is_debian(apt_get="echo noise; exit 100")
    *_, last = machine.run().splitlines()
    assert "skipped, because apt-get could not install Chromium; run `.venv/bin/playw" in last


@pytest.mark.parametrize("case", ["no root", "ubuntu", "no apt-get"])
def test_other_systems_get_instructions(machine: Machine, case: str) -> None:
    machine.is_debian(user=1000 if case == "no root" else 0)
    if case == "ubuntu":
        machine.os_release.write_text("ID=ubuntu\nID_LIKE=debian\n")
    if case == "no apt-get":
        (machine.commands / "apt-get").unlink()
    (line,) = machine.run().splitlines()
    assert line.startswith("browser tests: skipped, because no browser was found; run `")
    assert not any(call.startswith("apt-get") for call in machine.called())
