"""A small project to install, and a machine whose PATH a test controls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TOOLS = "c++ cat dirname flock rm sh sha256sum sort tar uname"


class Machine:
    """A checkout, and a PATH with only the commands that the set-up may find.

    By default, its glibc selects the stack that supports the Python that runs the tests.
    """

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = Path(sys.executable).resolve()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands = folder / "bin"
        self.pyenv = folder / "pyenv"
        self.checkout = folder / "a checkout"
        self.commands.mkdir()
        for tool in TOOLS.split():
            self.command(tool, shutil.which(tool) or f"/absent/{tool}")
        self.glibc("2.36" if self.version == "3.10" else "2.41")
        _write_project(self.checkout)

    def command(self, name: str, target: str | Path) -> None:
        """Adds `target` to the PATH as `name`."""
        (self.commands / name).symlink_to(target)

    def script(self, name: str, *lines: str) -> None:
        """Adds a shell script to the PATH as `name`."""
        path = self.commands / name
        path.unlink(missing_ok=True)
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)

    def glibc(self, version: str) -> None:
        """Sets the version of glibc."""
        self.script("getconf", f'[ "$1" = GNU_LIBC_VERSION ] && echo "glibc {version}"')

    def uv(self) -> None:
        """Adds the locked uv to the PATH."""
        uv = Path(sys.executable).parent / "uv"
        if not uv.exists():
            pytest.skip("needs the locked packages: run this with `make test`")
        self.command("uv", uv)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """Starts the set-up in its own process group."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "SSL_", "REQUESTS_", "CURL_")) or name == "HOME"
        }
        return subprocess.Popen(
            ["sh", str(self.checkout / "stacks" / "install.sh")],
            env={
                **inherited,
                "PATH": str(self.commands),
                "PYENV_ROOT": str(self.pyenv),
                "UV_PYTHON_INSTALL_DIR": str(self.folder / "pythons"),
                "UV_PYTHON_DOWNLOADS": "never",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def set_up(self, **environment: str) -> tuple[int, str, str]:
        """Runs the set-up; returns its exit status, stdout and stderr."""
        process = self.start(**environment)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors

    @property
    def environment(self) -> Path:
        """The virtual environment."""
        return self.checkout / ".venv"

    def is_ready(self) -> bool:
        """Whether the set-up has finished and the project can be imported."""
        python = self.environment / "bin" / "python"
        return (self.environment / ".ready").exists() and subprocess.run(
            [python, "-c", "import toy"], cwd=self.folder, check=False
        ).returncode == 0


def _write_project(checkout: Path) -> None:
    stacks = checkout / "stacks"
    stacks.mkdir(parents=True)
    for name in ("install.sh", "build.txt"):
        shutil.copy(REPOSITORY / "stacks" / name, stacks / name)
    for stack in ("compat", "current"):
        shutil.copy(REPOSITORY / "stacks" / "build.txt", stacks / f"{stack}.txt")
    (checkout / "toy.py").touch()
    (checkout / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='toy', version='1', py_modules=['toy'])\n"
    )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without Python and uv."""
    return Machine(tmp_path)
