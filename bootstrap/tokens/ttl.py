"""How long tokens live: each has an end."""

from __future__ import annotations

from datetime import timedelta

from bootstrap.errors import BadUse
from bootstrap.times import EXAMPLES, in_words, time_of

LONGEST = timedelta(days=30)
SHORTEST = timedelta(minutes=1)


def lifetime_of(text: str, longest: timedelta = LONGEST) -> timedelta:
    """The time that the text says. Raises BadUse where it says none, for less than a minute, and for more than
    `longest`: a token without an end is a key under the mat."""
    lifetime = time_of(text)
    if lifetime is None:
        raise _bad(f"{text!r} is not a time", f"as in --ttl 30m: {EXAMPLES}")
    if lifetime < SHORTEST:
        raise _bad(f"a token can't live for {text}: there are none without an end", "the shortest is --ttl 1m")
    if lifetime > longest:
        raise _bad(f"{text} is too long for this token", f"the longest is --ttl {in_words(longest)}")
    return lifetime


def _bad(problem: str, hint: str) -> BadUse:
    return BadUse(problem, step="token", tried="read --ttl", hint=hint)
