"""How long tokens live: times as people write them, with an end to each."""

from __future__ import annotations

import re
from datetime import timedelta

from bootstrap.errors import BadUse

LONGEST = timedelta(days=30)
SHORTEST = timedelta(minutes=1)
_TIME = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")


def lifetime_of(text: str, longest: timedelta = LONGEST) -> timedelta:
    """The time in "30m", "1h", "2d" or "1h30m". Raises BadUse for anything else, for less than a minute, and for more
    than `longest`: a token without an end is a key under the mat."""
    found = _TIME.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise _bad(f"{text!r} is not a time", "write it with its unit, as in --ttl 30m, 1h, 2d or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    lifetime = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if lifetime < SHORTEST:
        raise _bad(f"a token can't live for {text}: there are none without an end", "the shortest is --ttl 1m")
    if lifetime > longest:
        raise _bad(f"{text} is too long for this token", f"the longest is --ttl {ttl_in_words(longest)}")
    return lifetime


def ttl_in_words(lifetime: timedelta) -> str:
    """A time as `lifetime_of` reads it, in its two largest units: "2d", "1h30m", "45s"."""
    seconds = int(lifetime.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        parts.append((count, unit))
    first = next((index for index, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return "".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count) or "0s"


def _bad(problem: str, hint: str) -> BadUse:
    return BadUse(problem, step="token", tried="read --ttl", hint=hint)
