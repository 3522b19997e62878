"""Text of an inventory as a person may see it: without control characters, and without secrets."""

from __future__ import annotations

import unicodedata

_PRIVATE = ("-----BEGIN", "PRIVATE KEY-----", "PuTTY-User-Key-File", "b3BlbnNzaC1rZXktdjE")
LONGEST_SHOWN = 60


def printable(text: str) -> str:
    """`text` with everything escaped that moves a cursor, breaks a line or can't be seen."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def unprintable_in(text: str) -> str | None:
    """The first character that can't be printed, in words: "a line break", "the character U+001B". None without one."""
    char = next((char for char in text if not char.isprintable()), None)
    if char is None:
        return None
    named = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}.get(char)
    name = unicodedata.name(char, "")
    return named or f"the character U+{ord(char):04X}{f' ({name})' if name else ''}"


def looks_private(text: str) -> bool:
    """Whether a private key stands in it, or a part of one."""
    return any(mark in text for mark in _PRIVATE)


def shown(value: object) -> str:
    """A value as messages show it: short, on one line, never a private key, and of lists and mappings no content."""
    if isinstance(value, str):
        if looks_private(value):
            return "a private key (it is not shown here)"
        # No more is looked at than is shown.
        text = repr(value[: LONGEST_SHOWN + 1])
    elif isinstance(value, dict):
        return "a mapping"
    elif isinstance(value, list | tuple | set):
        return "a list"
    elif value is None:
        return "nothing"
    else:
        text = str(value) if not isinstance(value, int) or abs(value) < 10**LONGEST_SHOWN else "a very long number"
    return printable(text) if len(text) <= LONGEST_SHOWN else printable(text[: LONGEST_SHOWN - 3]) + "..."
