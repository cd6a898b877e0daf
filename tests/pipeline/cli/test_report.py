"""`mnist-pipeline report`."""

from __future__ import annotations

import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipeline.cli.report import report

NAME = "2026-11-22T17:18:41.123456"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(report, [str(argument) for argument in arguments])


def test_path_of_the_page_is_printed(runs: Any) -> None:
    runs.whole_run(NAME)
    result = invoke("--pipeline-root", runs.root)
    assert result.exit_code == 0
    path = Path(result.output.strip())
    assert path == runs.root / "reports" / "20261122T171841" / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_missing_runs_are_reported_in_one_line_with_status_1(tmp_path: Path) -> None:
    result = invoke("--pipeline-root", tmp_path / "none")
    assert result.exit_code == 1
    assert result.output.startswith("Error: no runs found in ")
    assert result.output.count("\n") == 1


def test_browser_opens_only_on_request(
    runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.whole_run(NAME)
    opened: list[str] = []

    def open_url(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_url)
    output = tmp_path / "page.html"
    assert invoke("--pipeline-root", runs.root, "--output", output).exit_code == 0
    assert opened == []
    assert invoke("--pipeline-root", runs.root, "--output", output, "--open").exit_code == 0
    assert opened == [output.as_uri()]


def test_missing_browser_is_reported_after_the_path(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.whole_run(NAME)
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    result = invoke("--pipeline-root", runs.root, "--open")
    assert result.exit_code == 1
    path, error = result.output.strip().splitlines()
    assert path.endswith("report.html")
    assert error.startswith("Error: no browser found")


def test_index_of_all_runs_is_written_and_opened(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.whole_run(NAME)
    index = runs.root / "reports" / "index.html"
    monkeypatch.setattr(webbrowser, "open", lambda url: url == index.as_uri())
    result = invoke("--pipeline-root", runs.root, "--index", "--open")
    assert result.exit_code == 0
    path = Path(result.output.strip())
    assert path == index
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]


def test_index_has_a_fixed_path(runs: Any, tmp_path: Path) -> None:
    result = invoke("--pipeline-root", runs.root, "--index", "--output", tmp_path / "x.html")
    assert result.exit_code == 2
    assert "--output can't be used with --index" in result.output


def test_help_lists_the_exit_statuses_on_separate_lines() -> None:
    assert "\n    0  page written\n    1  no report found" in invoke("--help").output


def test_usage_error_has_status_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert invoke("--pipeline-root", tmp_path / "file").exit_code == 2


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("pipeline.cli.report", {"jinja2", "ml_metadata", "tensorflow", "tfx"}),
        ("pipeline.runs.page", {"jinja2", "tensorflow", "tfx"}),
    ],
)
def test_heavy_imports_are_deferred(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout == "[]\n"
