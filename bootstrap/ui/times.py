"""Times and durations as a person reads them."""

from __future__ import annotations

from datetime import datetime


def duration_in_words(seconds: float) -> str:
    """A duration: "0.34 s", "12.3 s", "8 min 21 s", "2 h 05 min"."""
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def on_the_axis(seconds: float) -> str:
    """A time since the beginning: "0:07", "8:21", "1:02:05"."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def local_time(epoch: float) -> str:
    """A time of day on this machine's clock, with its distance to UTC."""
    return datetime.fromtimestamp(epoch).astimezone().isoformat(sep=" ", timespec="seconds")
