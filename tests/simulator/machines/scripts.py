"""Which of clusterup's commands a script is: the templates of the product itself, read backwards."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from string import Formatter
from typing import Generic, TypeVar

T = TypeVar("T")

# What `shlex.quote` makes of an argument.
_WORD = r"""(?:[\w@%+=:,./-]|'[^']*'|"[^"]*")+"""


@dataclass(frozen=True)
class Known(Generic[T]):
    """Scripts that are known: what they look like, and what they mean."""

    pattern: re.Pattern[str]
    meaning: T

    def arguments(self, script: str) -> list[str] | None:
        """What the template's fields were filled with, in the order of their numbers, or of their first appearance
        where they have names. None for another script."""
        found = self.pattern.fullmatch(script)
        if found is None:
            return None
        fields = found.groupdict()
        numbered = all(name[1:].isdecimal() for name in fields)
        names = sorted(fields, key=lambda name: int(name[1:])) if numbered else list(fields)
        return ["".join(shlex.split(fields[name])) for name in names]


def known(template: str, meaning: T) -> Known[T]:
    """The scripts that `Command.of` makes of a template."""
    parts: list[str] = []
    seen: set[str] = set()
    for literal, field, _, _ in Formatter().parse(template):
        parts.append(re.escape(literal))
        if field is None:
            continue
        name = f"a{field or len(seen)}"
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_WORD})")
        seen.add(name)
    return Known(re.compile("".join(parts)), meaning)


def exactly(script: str, meaning: T) -> Known[T]:
    """A script that has no arguments."""
    return Known(re.compile(re.escape(script)), meaning)
