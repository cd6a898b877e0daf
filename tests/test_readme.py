"""README and docs agree with the code: commands, settings, paths, links and pictures."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import bench_results
from click.testing import CliRunner
from support import documentation
from support.documentation import PAGES, Command
from support.readme_settings import HEADER, PAGE, settings_table

from models.definition import DATASET
from pipeline.cli.commands import cli
from pipeline.exit_status import ExitStatus

ROOT = documentation.ROOT
README = Path("README.md")
MAX_README_LINES = 149
MAX_PICTURE_BYTES = 300_000

PROGRAMS = {
    "": {"eval", "jq", "make", "mnist-pipeline", "perl", "python", "source"},
    "server": {"curl", "echo"},
    "docker": {"debootstrap", "docker", "make", "mkdir", "tar"},
    "cluster": {"base64", "curl", "export", "gh", "kubectl", "mnist-pipeline"},
    "network": {"apt-get", "docker", "uvx"},
}
"""Programs that the commands of a code block may run, by its marker."""

COMMANDS = documentation.block_commands()
INLINE = documentation.inline_commands()
ABOUT_MNIST = pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")


def table(page: str, heading: str) -> dict[str, str]:
    """Returns the first two columns of the first table below a heading."""
    section = (ROOT / page).read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `?([^|`]+?)`? \|([^|]*)\|", section, re.MULTILINE)
    return {name: value.strip().strip("`") for name, value in rows[2:]}


@ABOUT_MNIST
def test_table_of_settings_is_up_to_date() -> None:
    assert f"{HEADER}{settings_table()}\n" in PAGE.read_text(), "run `make golden`"


def test_benchmark_tables_agree_with_the_results() -> None:
    results = json.loads(bench_results.RESULTS.read_text())
    pages = {page: page.read_text() for page in bench_results.PAGES}
    blocks = re.findall(r"<!-- benchmark: (\w+) -->", "".join(pages.values()))
    assert sorted(blocks) == sorted(bench_results.BLOCKS)
    for page, text in pages.items():
        assert bench_results.render(text, results) == text, f"{page}: run `make bench-tables`"


def test_benchmark_statistics_agree_with_their_runs() -> None:
    results = json.loads(bench_results.RESULTS.read_text())
    runs = [bench_results.Run(**run) for run in results["runs"]]
    again = bench_results.make_results(runs, results)
    assert json.loads(json.dumps(again)) == results


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_table_of_exit_statuses_is_complete(page: str) -> None:
    assert [int(status) for status in table(page, "Exit status")] == [int(s) for s in ExitStatus]


def test_readme_is_short() -> None:
    assert len((ROOT / README).read_text().splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_code_blocks_name_a_known_language_and_marker(page: Path) -> None:
    languages = {"", "mermaid", "powershell", "python", "sh", "yaml"}
    for block in documentation.blocks(page):
        assert block.language in languages, block
        assert block.marker in PROGRAMS, block


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_commands_match_their_marker(command: Command) -> None:
    assert command.program in PROGRAMS[command.marker], f"mark the code block of {command}"


def pipeline_arguments(command: Command) -> list[str] | None:
    """Returns the arguments of `mnist-pipeline`, even in a container; None for other commands."""
    words = list(command.words)
    if command.program == "docker" and words[1] == "run" and "mnist-pipeline" in words:
        # Image, program, arguments; an image can have the program's name.
        words = words[len(words) - 1 - words[::-1].index("mnist-pipeline") :]
    elif command.program != "mnist-pipeline":
        return None
    return words[1:]


def assert_parses(arguments: list[str]) -> None:
    """Checks commands and options. --help prevents the command from running."""
    result = CliRunner().invoke(cli, [*arguments, "--help"], prog_name="mnist-pipeline")
    assert result.exit_code == 0, result.output
    assert "Usage: mnist-pipeline" in result.output


@pytest.mark.parametrize(
    "command", [one for one in (*COMMANDS, *INLINE) if pipeline_arguments(one) is not None], ids=str
)
def test_pipeline_commands_pass_option_parsing(command: Command) -> None:
    arguments = pipeline_arguments(command)
    assert arguments is not None
    assert_parses(arguments)


@pytest.mark.parametrize("arguments", ["trian", "run --epoch 3", "releases shew live"])
def test_an_invalid_command_is_detected(arguments: str) -> None:
    with pytest.raises(AssertionError):
        assert_parses(arguments.split())


@pytest.mark.parametrize(
    "command", [one for one in (*COMMANDS, *INLINE) if one.program == "make"], ids=str
)
def test_make_targets_exist_and_run_commands_that_parse(command: Command) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *command.words[1:]],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.replace("\\\n", " ").splitlines():
        if " -m pipeline " in line:
            assert_parses(shlex.split(line.split(" -m pipeline ")[1]))


@pytest.mark.parametrize(
    "command",
    [
        one
        for one in COMMANDS
        if one.program == "python" and "argparse" in (ROOT / one.words[1]).read_text()
    ],
    ids=str,
)
def test_scripts_accept_their_arguments(command: Command) -> None:
    done = subprocess.run(
        [sys.executable, *command.words[1:], "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", 'eval "$(_MNIST_PIPELINE_COMPLETE=bash_source mnist-pipeline)"'),
        ("zsh", 'eval "$(_MNIST_PIPELINE_COMPLETE=zsh_source mnist-pipeline)"'),
        ("fish", "_MNIST_PIPELINE_COMPLETE=fish_source mnist-pipeline | source"),
    ],
)
def test_shell_completion_works(shell: str, line: str) -> None:
    assert line in PAGE.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline"],
        cwd=ROOT,
        env={**os.environ, "_MNIST_PIPELINE_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_MNIST_PIPELINE_COMPLETE" in done.stdout, done.stderr
    assert "mnist-pipeline" in done.stdout


SOURCES = ("models", "components", "pipeline", "kubeflow", "stacks")
MESSAGE_TABLES = [
    ("docs/operations.md", "Troubleshooting"),
    ("docs/serving.md", "Classify pictures"),
]
JOINED_STRINGS = re.compile(r'"\s*\\?\s*f?"')


def quoted_messages(page: str, heading: str) -> list[str]:
    """The parts between ellipses of all inline code in the first column of a section's tables."""
    section = documentation.read(Path(page)).split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    return [part.strip() for text in quoted for part in text.split("…") if part.strip()]


@pytest.fixture(scope="module")
def source_text() -> str:
    """All source code, with adjacent strings joined and the names of the data set filled in."""
    files = [
        path
        for folder in SOURCES
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".sh"}
    ]
    text = JOINED_STRINGS.sub("", "\n".join(path.read_text() for path in files))
    return text.replace("{DATASET.title}", DATASET.title).replace("{noun}", DATASET.noun)


@ABOUT_MNIST
@pytest.mark.parametrize(("page", "heading"), MESSAGE_TABLES)
def test_quoted_messages_are_in_the_source(page: str, heading: str, source_text: str) -> None:
    messages = quoted_messages(page, heading)
    assert len(messages) >= 5
    assert [message for message in messages if message not in source_text] == []


TOP_FOLDERS = (
    r"components|docs|kubeflow|models|pipeline|stacks|tests|\.ci|\.devcontainer|\.github|manifests"
)
PATH = re.compile(rf"(?:{TOP_FOLDERS})/[\w./-]*")


def paths() -> list[tuple[Path, str]]:
    """Returns the paths in inline code and commands, except MNIST's, which forks may delete."""
    named = [
        (page, text)
        for page in PAGES
        for text in re.findall(r"`([^`\n]+)`", documentation.prose(page))
    ] + [(command.page, word) for command in COMMANDS for word in command.words]
    mnist = () if DATASET.name == "mnist" else ("models/digits/", "tests/models/digits/")
    return sorted(
        {
            (page, text)
            for page, text in named
            if PATH.fullmatch(text) and not text.startswith(mnist)
        }
    )


@pytest.mark.parametrize(("page", "path"), paths(), ids=str)
def test_paths_exist(page: Path, path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / page.parent / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_have_targets(page: Path) -> None:
    for link in documentation.links(page):
        file, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / file)) if file else page
        assert (ROOT / target).exists(), link
        if anchor:
            assert anchor in documentation.anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {Path(link.partition("#")[0]) for link in documentation.links(README)}
    assert set(PAGES) - {README} <= linked


def test_pictures_of_the_readme_are_small_and_have_a_dark_version() -> None:
    from support.screenshots import DIRECTORY, FILES

    linked = {link for link in documentation.links(README) if link.startswith("docs/images/")}
    assert linked == {f"docs/images/{name}" for name in FILES}
    assert {path.name for path in DIRECTORY.iterdir()} == set(FILES)
    assert sum((DIRECTORY / name).stat().st_size for name in FILES) <= MAX_PICTURE_BYTES


def test_tree_has_each_folder() -> None:
    tree = documentation.read(README).split("## Repository\n\n```\n", 1)[1].split("\n```", 1)[0]
    named, top = set(), ""
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            top = name
        if name.endswith("/"):
            named.add(name if name == top else f"{top}{name}")
    packages = ("models", "components", "pipeline", "kubeflow")
    folders = {f"{name}/" for name in (*packages, "docs", "stacks", "tests")}
    for package in packages:
        inside = (path for path in (ROOT / package).iterdir() if path.is_dir())
        folders |= {f"{package}/{path.name}/" for path in inside if path.name != "__pycache__"}
    if DATASET.name != "mnist":
        named.discard("models/digits/")
        folders.discard("models/digits/")
    assert named == folders


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("make run  # all of it\n", [("make", "run")]),
        ("sudo a --b \\\n    c | d 'e f' > out &\n", [("a", "--b", "c"), ("d", "e f")]),
        ("a |\n    b < in && X=1 c\n", [("a",), ("b",), ("c",)]),
        (
            'docker run "$(id -u):$(id -g)" -v "$PWD/o:/o" m\n',
            [("docker", "run", "$(id -u):$(id -g)", "-v", "$PWD/o:/o", "m")],
        ),
    ],
)
def test_commands_are_split_like_in_a_shell(script: str, expected: list[tuple[str, ...]]) -> None:
    assert list(documentation.split_commands(script)) == expected
