"""The documentation as data: its pages, code blocks, commands, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PAGES = [
    path.relative_to(ROOT)
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "kubeflow/README.md"])
]

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
_OPERATORS = {"|", "||", "&", "&&", ";"}
_REDIRECTIONS = {"<", ">", ">>"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ANY_PREFIX = ("sudo", "exec")


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
      page: path from the repository's root.
      language: the first word of the info string, such as "sh"; "" if there is none.
      marker: the second word, which names a requirement of the commands, such as "docker".
      text: the code, with a newline at its end.
    """

    page: Path
    language: str
    marker: str
    text: str


@dataclass(frozen=True)
class Command:
    """A simple command in a shell block or in inline code.

    Attributes:
      page: path from the repository's root.
      marker: marker of the command's block.
      words: program and arguments, without redirections and assignments.
    """

    page: Path
    marker: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """Name of the program, without its directory."""
        return PurePosixPath(self.words[0]).name

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def blocks(page: Path) -> Iterator[Block]:
    """Yields the code blocks of a page."""
    for match in _FENCE.finditer(read(page)):
        language, _, marker = match["info"].strip().partition(" ")
        indent = len(match["indent"])
        text = "".join(line[indent:] for line in match["text"].splitlines(keepends=True))
        yield Block(page, language, marker, text)


def prose(page: Path) -> str:
    """Returns the page without its code blocks."""
    return _FENCE.sub("", read(page))


def read(page: Path) -> str:
    """Returns the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def block_commands() -> list[Command]:
    """Returns all commands in shell blocks of all pages."""
    return [
        Command(page, block.marker, words)
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for words in split_commands(block.text)
    ]


def inline_commands() -> list[Command]:
    """Returns all `make` and `mnist-pipeline` commands in inline code."""
    found = re.compile(r"`((?:make|(?:\.venv/bin/)?mnist-pipeline) [a-z-][^`]*)`")
    return [
        Command(page, "", words)
        for page in PAGES
        for match in found.finditer(prose(page))
        for words in split_commands(match[1].replace("\n", " "))
    ]


def split_commands(script: str) -> Iterator[tuple[str, ...]]:
    """Splits a script into the words of its simple commands."""
    joined = re.sub(r"\|\s*\n", "| ", script.replace("\\\n", ""))
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in (*lexer, ";"):
            if word not in _OPERATORS:
                words.append(word)
                continue
            if command := tuple(_without_prefix(_without_redirections(words))):
                yield command
            words = []


def _without_redirections(words: list[str]) -> list[str]:
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not {before, word} & _REDIRECTIONS
    ]


def _without_prefix(words: list[str]) -> list[str]:
    while words and (words[0] in _ANY_PREFIX or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    return words


def links(page: Path) -> set[str]:
    """Returns the targets of links and pictures, except web addresses."""
    text = prose(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    return {target for target in targets if not re.match(r"[a-z]+:", target)}


def anchors(page: Path) -> set[str]:
    """Returns the anchors that GitHub generates for the page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
