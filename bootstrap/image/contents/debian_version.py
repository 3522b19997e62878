"""Which of two versions of Debian packages is the later one.

Source: Debian Policy Manual, section 5.6.12
"""

from __future__ import annotations

import re
from functools import total_ordering

# A number as it is ordered: how many digits it has, and these. However long it is, nothing is calculated with it.
Number = tuple[int, str]

_PARTS = re.compile(r"(\D*)(\d*)", re.ASCII)


@total_ordering
class DebianVersion:
    """A version as Debian orders them: 1:2.0 is later than 3.0, 1.0~rc1 earlier than 1.0, 1.10 later than 1.9."""

    def __init__(self, text: str) -> None:
        epoch, colon, rest = text.partition(":")
        epoch_number = _number(epoch if colon and epoch.isascii() and epoch.isdigit() else "")
        upstream, _, revision = (rest if colon else text).rpartition("-")
        # Without a hyphen, all of it is upstream's.
        upstream, revision = (upstream, revision) if upstream else (revision, "")
        self._key = epoch_number, _ordered(upstream), _ordered(revision)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DebianVersion) and self._key == other._key

    def __lt__(self, other: DebianVersion) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)


END = ((0,), (0, ""))


def _ordered(text: str) -> tuple[tuple[tuple[int, ...], Number], ...]:
    """What the text is sorted by: not digits and digits in turn."""
    parts = [(_letters(words), _number(number)) for words, number in _PARTS.findall(text)]
    # No revision is the revision 0. What comes behind is compared with the end, which a tilde comes before.
    while parts and parts[-1] == END:
        parts.pop()
    return (*parts, END)


def _number(digits: str) -> Number:
    plain = digits.lstrip("0")
    return len(plain), plain


def _letters(text: str) -> tuple[int, ...]:
    """Sorted by: a tilde before the end, the end before letters, letters before all else."""
    return (*((-1 if each == "~" else ord(each) if each.isalpha() else ord(each) + 256) for each in text), 0)
