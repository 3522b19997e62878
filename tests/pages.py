"""The pages of documentation, read for tests: their links, their headings and the commands in them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/**/*.md"), *ROOT.glob("scripts/**/*.md")]
)
SECONDS = 300
_MARK = "<!-- tried on: {} -->"
_LINK = re.compile(r"\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_CODE = re.compile(r"``([^`]+)``|`([^`\n]+)`")
# What stands before a command in a shell.
_BEFORE = re.compile(r"^(?:\$ |sudo |exec |[A-Z_]+=\S* |\.?/?(?:venv/bin/))*")
_COMMENT = re.compile(r"(^| )#.*")
_SEPARATORS = re.compile(r"\|\||&&|[|;]")


@dataclass(frozen=True, slots=True)
class Typed:
    """A command of clusterup in a page: where it stands, and its words behind `clusterup`."""

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: clusterup {shlex.join(self.words)}"


def links_of(page: Path) -> list[str]:
    """Where the page's links lead, as they are written."""
    return _LINK.findall(_without_blocks(page.read_text()))


def anchors_of(page: Path) -> set[str]:
    """The names of its headings, as they stand behind # in links: GitHub's way of making them."""
    found: set[str] = set()
    for heading in _HEADING.findall(_without_blocks(page.read_text())):
        text = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        name = next(name for number in range(1000) if (name := f"{text}-{number}" if number else text) not in found)
        found.add(name)
    return found


def commands_of(page: Path) -> Iterator[Typed]:
    """The commands of clusterup in blocks of code, and between backticks."""
    name = str(page.relative_to(ROOT))
    for number, line in enumerate(_joined(page.read_text()).splitlines(), 1):
        codes = [line.strip()] if line.startswith("    ") else [one or two for one, two in _CODE.findall(line)]
        for code in codes:
            for part in _SEPARATORS.split(_COMMENT.sub("", code)):
                words = words_of(part)
                # A console shows the name and the version first.
                if words and words[0] == "clusterup" and not (words[1:] and words[1][0].isdigit()):
                    yield Typed(name, number, tuple(words[1:]))


def _joined(text: str) -> str:
    """The text with lines that go on behind a backslash as one, and as many lines as before."""
    while found := re.search(r"\\\n +", text):
        rest, end, behind = text[found.end() :].partition("\n")
        text = f"{text[: found.start()]} {rest}{end}\n{behind}"
    return text


def blocks_tried_on(place: str) -> Iterator[tuple[str, str]]:
    """The blocks of code that are marked so, by page and line: `<!-- tried on: PLACE -->` stands before such a one."""
    for page in PAGES:
        lines = page.read_text().splitlines()
        for number, line in enumerate(lines):
            if line != _MARK.format(place):
                continue
            rest = lines[number + 1 :]
            begin = next(index for index, each in enumerate(rest) if each)
            block = list(takewhile(lambda each: each.startswith("    ") or not each, rest[begin:]))
            yield f"{page.relative_to(ROOT)}:{number + begin + 2}", textwrap.dedent("\n".join(block)).strip()


def typed(block: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a block as it stands, in a shell that ends at the first line that fails."""
    return subprocess.run(
        ["sh", "-euxc", block],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def programs_in(folder: Path, **others: str) -> Path:
    """A folder with `clusterup` as this Python has it, and `others` by their names, whose paths are given."""
    folder.mkdir()
    program = folder / "clusterup"
    program.write_text(f"#!{sys.executable}\nfrom bootstrap.cli.start import start\nstart()\n")
    program.chmod(0o755)
    for name, path in others.items():
        (folder / name).symlink_to(path)
    return folder


def words_of(command: str) -> list[str]:
    """The words of a line as a shell reads it, without what stands before and behind the command itself."""
    plain = _BEFORE.sub("", command.strip())
    try:
        words = shlex.split(plain, comments=True)
    except ValueError:
        # What is no line of a shell is none of ours, unless it begins as one.
        return ["clusterup", plain] if plain.startswith("clusterup ") else []
    taken = []
    for word in words:
        if re.fullmatch(r"\d?[<>]{1,2}&?.*", word):
            break
        # [UNIT] may be left out, and NODE... may be several.
        taken.append(word.strip("[]").removesuffix("..."))
    return [word for word in taken if word]


def _without_blocks(text: str) -> str:
    """The page without its blocks of code, in which nothing is a link or a heading."""
    kept, fenced = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            kept.append(line)
    return "\n".join(kept)
