"""What comes from outside, handled with care: its text on a terminal, its JSON in a program.

Text of a machine, a server or a file may hold anything: sequences that set the clipboard or hide what was written
before (ECMA-48, in 7 bits and in 8), letters that turn the rest of a line around (Unicode Standard Annex 9), or that
no one sees. Here they become visible escapes, `\\x1b` or `\\u202e`, and `guard_streams` sees to it that nothing written
to standard output or standard error goes around that.

The standard library alone: nodes have this module, too.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

LONGEST_SHOWN = 4000
"""Characters of one piece of foreign text that are shown: more of it would push everything else off the screen."""
# Beside what str.isprintable() says no to (controls, formats, surrogates, separators, what is not assigned): letters
# that are drawn as nothing. Source: Default_Ignorable_Code_Point in the Unicode Character Database.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def on_one_line(text: str) -> str:
    """The text without anything that a terminal acts upon, line ends included: all that is shown as escapes."""
    if text.isprintable() and (text.isascii() or not _UNSEEN.search(text)):
        return text
    return "".join(map(_shown, text))


def in_lines(text: str) -> str:
    """As `on_one_line`, of text in lines: these stay, and tabs are the spaces that a terminal would show."""
    lines = text.replace("\r\n", "\n").expandtabs().split("\n")
    return "\n".join(map(on_one_line, lines))


def below(label: str, text: str) -> str:
    """The text in lines behind its label, the later ones further in: none of them looks like a line of ours. What is
    longer than `LONGEST_SHOWN` is cut."""
    rest = len(text) - LONGEST_SHOWN
    shown = in_lines(text[:LONGEST_SHOWN]) + (f" ... ({rest} characters more)" if rest > 0 else "")
    indent = " " * (len(label) - len(label.lstrip()) + 4)
    return label + f"\n{indent}".join(shown.split("\n"))


def parsed_json(text: str | bytes) -> Any:
    """What the JSON says. Raises ValueError for what is none, for what is nested too deep as well."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


class SafeStream:
    """A text stream that makes everything safe that is written to it. `inner` is the stream as it was.

    It has no `buffer`: what writes bytes would go around it.
    """

    def __init__(self, inner: TextIO) -> None:
        self.inner = inner

    def write(self, text: str) -> int:
        """Write the text, line ends as they are, all else that a terminal acts upon as escapes."""
        if not isinstance(text, str):
            raise TypeError(f"this takes text, not {type(text).__name__}")
        self.inner.write(in_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.inner, name)


def guard_streams() -> None:
    """Have everything made safe that this process writes to standard output and standard error from now on, tracebacks
    included. What their encoding does not have is shown as escapes, too."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, SafeStream):
            continue
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, SafeStream(stream))


def unguarded(stream: TextIO) -> TextIO:
    """The stream as it was before `guard_streams`, for who makes text safe by other means or writes none."""
    return stream.inner if isinstance(stream, SafeStream) else stream


def safe_stream(inner: TextIO) -> TextIO:
    """`SafeStream` as what Python takes for a stream."""
    return cast(TextIO, SafeStream(inner))


def _shown(letter: str) -> str:
    if letter == " " or (letter.isprintable() and not _UNSEEN.match(letter)):
        return letter
    if ord(letter) < 0x80:
        return _NAMED.get(letter) or f"\\x{ord(letter):02x}"
    return letter.encode("ascii", "backslashreplace").decode()
