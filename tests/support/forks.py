"""Copies of the project for another data set, as in a fork."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PACKAGES = ("components", "models", "pipeline")


@dataclass(frozen=True)
class Fork:
    """A copy of the project's packages.

    Attributes:
      directory: contains the copy. Commands run in this directory, so Python imports the copy.
    """

    directory: Path

    @classmethod
    def make(cls, directory: Path, definition: str) -> Fork:
        """Copies the packages and replaces the content of `models/definition.py`."""
        for package in _PACKAGES:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, directory / package, ignore=ignored)
        (directory / "models" / "definition.py").write_text(definition)
        return cls(directory)

    def environment(self, **variables: str) -> dict[str, str]:
        """Returns environment variables for importing the fork's packages and the test helpers."""
        path = os.pathsep.join([str(self.directory), str(ROOT / "tests")])
        return {**os.environ, "PYTHONPATH": path, **variables}

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs Python in the fork until it exits."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `mnist-pipeline` in the fork."""
        return self.python("-m", "pipeline", *arguments)

    def review_schema(self) -> None:
        """Marks the proposed schema as reviewed."""
        path = self.directory / "pipeline" / "schema.pbtxt"
        first, rest = path.read_text().split("\n", 1)
        assert first == "# UNREVIEWED"
        path.write_text(rest)
