"""How fast a transfer is, and how long it still takes."""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW_SECONDS = 60.0
"""What came in the last seconds says how fast it is: a line may get slower, or have been interrupted."""


@dataclass
class TransferRate:
    """Bytes (`done`) by the time (seconds since the epoch) at which they were done, of one transfer."""

    points: list[tuple[float, int]] = field(default_factory=list)

    def add(self, when: float, done: int) -> None:
        """Note that so much was done by then. Where that is less than before, it has begun again."""
        if self.points and done < self.points[-1][1]:
            self.points.clear()
        self.points.append((when, done))
        while len(self.points) > 2 and self.points[1][0] < when - WINDOW_SECONDS:
            self.points.pop(0)

    def rate(self, now: float) -> float:
        """Bytes a second, 0 when there is nothing to tell it from."""
        if not self.points:
            return 0.0
        (begun, before), (_, done) = self.points[0], self.points[-1]
        return (done - before) / (now - begun) if now > begun else 0.0

    def words(self, now: float, total: int) -> str:
        """As in "0.9 MB/s, 3 min left"; empty when there is nothing to tell it from."""
        rate = self.rate(now)
        if not rate:
            return ""
        left = (total - self.points[-1][1]) / rate
        return f"{_rate(rate)}, {_time(left)} left" if left >= 1 else _rate(rate)


def _rate(rate: float) -> str:
    return f"{rate / 1e6:.1f} MB/s" if rate >= 100_000 else f"{rate / 1e3:.1f} kB/s"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
