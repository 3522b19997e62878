"""How long a line needs for something, how large a chunk may be, learnt from what it did so far."""

from __future__ import annotations

import math
from itertools import cycle

SMALLEST, LARGEST = 256, 512 * 1024
"""Bytes of a chunk on the wire."""
SECONDS_A_CHUNK = 2.0
"""More in one piece gains nothing, and costs more when it is damaged."""
AROUND = 90
"""Bytes that go with a chunk: its request, what follows it."""
FIRST_RATE, FIRST_TURN = 400.0, 0.1
SHORTEST_WAIT = 0.25
REMEMBERED = 400_000
"""Bytes after which an error counts half."""
BAD = 0.1
"""Errors, the older ones counting less, from which on a line counts as bad."""


class SendRate:
    """`turn` is what passes between a short request and its answer, in seconds; `rate` is bytes a second on the wire,
    the waiting for answers included."""

    def __init__(self) -> None:
        self.turn = FIRST_TURN
        self.rate = FIRST_RATE
        self._size = 1024
        self._errors = 0.0
        self._bytes = 0.0
        self._times = _Times()
        # Of chunks that are all of a size can't be told what a byte costs and what a chunk.
        self._varied = cycle((0.75, 1.0, 1.3))
        self._factor = 1.0

    def turned(self, seconds: float) -> None:
        """A short request was answered after `seconds`."""
        self.turn = seconds if self.turn == FIRST_TURN else self.turn + (seconds - self.turn) / 4

    def carried(self, size: int, seconds: float) -> None:
        """A chunk of `size` bytes on the wire arrived well after `seconds`, its answer included."""
        rate = size / max(seconds, 1e-3)
        self.rate = rate if self.rate == FIRST_RATE else self.rate + (rate - self.rate) / 4
        self._times.add(size, seconds)
        self._count(size)
        self._size = min(2 * self._size, LARGEST)

    def damaged(self, size: int) -> None:
        """A chunk of `size` bytes on the wire did not arrive as it was."""
        self._count(size)
        self._errors += 1
        self._size = max(self._size // 2, SMALLEST)

    def wait(self, size: int = 0) -> float:
        """Seconds after which an answer to `size` bytes on the wire is overdue."""
        return max(SHORTEST_WAIT, 5 * self.turn) + 2.5 * size / self.rate

    @property
    def size(self) -> int:
        """Bytes on the wire that the next chunk should have.

        A chunk of L bytes costs what goes around it as well, H bytes of the line's time, and arrives well with
        probability exp(-p L) for p errors a byte: L exp(-p L) / (L + H) is largest where L^2 + H L = H / p.
        """
        most = self._size
        if self._errors > BAD:
            around = AROUND + self._times.start_in_bytes()
            clean = self._bytes / self._errors
            best = (math.sqrt(around * (around + 4 * clean)) - around) / 2
            most = min(most, int(best * self._factor))
        return max(SMALLEST, min(most, int(self.rate * SECONDS_A_CHUNK), LARGEST))

    @property
    def inline(self) -> int:
        """Bytes of a script or an output that are worth sending with the request or the answer itself."""
        return 768 if self._errors > BAD else 2048

    def _count(self, size: int) -> None:
        kept = 0.5 ** (size / REMEMBERED)
        self._errors *= kept
        self._bytes = self._bytes * kept + size
        self._factor = next(self._varied)


class _Times:
    """The straight line through sizes and seconds of chunks (least squares, the latest ones counting most)."""

    KEPT = 0.97
    MOST = 100_000.0

    def __init__(self) -> None:
        self._count = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, size: float, seconds: float) -> None:
        values = (1.0, size, seconds, size * size, size * seconds)
        sums = (self._count, self._x, self._y, self._xx, self._xy)
        self._count, self._x, self._y, self._xx, self._xy = (
            self.KEPT * total + value for total, value in zip(sums, values, strict=True)
        )

    def start_in_bytes(self) -> float:
        """What a chunk costs whatever its size, counted in bytes of the line's time."""
        spread = self._count * self._xx - self._x * self._x
        if spread <= 0:
            return 0.0
        a_byte = (self._count * self._xy - self._x * self._y) / spread
        a_chunk = (self._y - a_byte * self._x) / self._count
        if a_chunk <= 0:
            return 0.0
        return min(a_chunk / a_byte, self.MOST) if a_byte > 0 else self.MOST
