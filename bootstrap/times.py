"""Times as people write them, the same everywhere: 90, 90s, 10m, 2h, 2d, 1h30m."""

from __future__ import annotations

import re
from datetime import timedelta

EXAMPLES = "90s, 10m, 2h, 2d or 1h30m; a number alone is seconds"
_TIME = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
_SECONDS = re.compile(r"\d{1,9}")


def time_of(text: str) -> timedelta | None:
    """The time that the text says; None where it says none."""
    if _SECONDS.fullmatch(text.strip()):
        return timedelta(seconds=int(text))
    found = _TIME.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def in_words(time: timedelta) -> str:
    """A time as `time_of` reads it, in its two largest units: "2d", "1h30m", "45s"."""
    seconds = int(time.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        parts.append((count, unit))
    first = next((index for index, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return "".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count) or "0s"
