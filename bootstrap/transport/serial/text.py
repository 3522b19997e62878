"""What a console said, the way a person can read it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bootstrap.outside import in_lines

CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[ -/]*[0-Z\\-~]|[\x00-\x08\x0b-\x1f\x7f]"
)
SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
ENOUGH_TO_JUDGE = 24
"""Bytes that have to have come before a speed is called wrong."""


def plain_text(text: str) -> str:
    """The text without terminal control sequences (ECMA-48) and carriage returns: what a console's programs wrote to
    move and to colour is not part of what they said. What a person gets to see of it is made safe beyond that."""
    return CONTROL.sub("", text)


def last_words(data: bytes, lines: int = 3, width: int = 160) -> str:
    """The last lines of what came over a line, readable, each of them no longer than `width`; empty where there was
    nothing to read."""
    text = in_lines(plain_text(data[-65536:].decode("utf-8", "replace")))
    kept = [line for line in map(str.strip, text.split("\n")) if line]
    return "\n".join(line if len(line) <= width else "..." + line[-width:] for line in kept[-lines:])


def last_lines(path: Path, count: int) -> str:
    """The last lines of a text file without control sequences; empty where there is no such file."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - 65536))
            text = handle.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line for line in map(str.rstrip, in_lines(plain_text(text)).split("\n")) if line]
    return "\n".join(lines[-count:])


def is_garbage(data: bytes) -> bool:
    """Whether most of it is nothing that a console writes: what a line at another speed looks like.

    Letters of any language, line ends and control sequences are text; what is not UTF-8 is not. NUL is padding
    (terminfo has it for old terminals), unless nothing else comes.
    """
    recent = data[-512:]
    if len(recent) < ENOUGH_TO_JUDGE:
        return False
    padded, recent = recent, recent.replace(b"\0", b"")
    if len(recent) < ENOUGH_TO_JUDGE:
        return not recent.strip() and len(padded) >= ENOUGH_TO_JUDGE
    text = SEQUENCE.sub("", recent.decode("utf-8", "replace"))
    bad = sum(
        1 for character in text if character == "\ufffd" or (character < " " and character not in "\r\n\t\b\a\x1b")
    )
    return bad * 2 > len(text)
