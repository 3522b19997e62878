"""Digests that do not come from the server that sends the file."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LENGTHS = {"sha256": 64, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Digest:
    """`algorithm` as hashlib calls it, `value` in small hexadecimal digits, `source` who says so."""

    algorithm: str
    value: str
    source: str


def written_digest(text: str, source: str) -> Digest:
    """The digest in "sha256:1f3a...". Raises ValueError for what is none."""
    algorithm, _, value = text.partition(":")
    found = digest_of(algorithm, value, source) if algorithm in _LENGTHS else None
    if found is None or found.value != value:
        raise ValueError(f"{text!r} is not a digest")
    return found


def digest_of(algorithm: str, text: str, source: str) -> Digest | None:
    """A digest that is written alone, or as sha256sum writes it before a file's name; None where it is none."""
    found = re.match(rf"\s*([0-9a-fA-F]{{{_LENGTHS[algorithm]}}})(?:\s|$)", text)
    return None if found is None else Digest(algorithm, found[1].lower(), source)


def digest_in_list(algorithm: str, text: str, file: str, source: str) -> Digest | None:
    """The digest of a file in a list as sha256sum writes it; where the list is one digest alone, that."""
    for line in text.splitlines():
        value, _, name = line.strip().partition(" ")
        if name.strip().lstrip("*").removeprefix("./") == file:
            return digest_of(algorithm, value, source)
    return digest_of(algorithm, text, source) if len(text.split()) == 1 else None
