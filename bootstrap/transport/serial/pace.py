"""How long a line needs for something, how large a chunk may be, learnt from what it did so far."""

from __future__ import annotations

import math

SMALLEST, LARGEST = 256, 512 * 1024
"""Bytes of a chunk on the wire."""
SECONDS_A_CHUNK = 2.0
"""More in one piece gains nothing, and costs more when it is damaged."""
AROUND = 90
"""Bytes that go with a chunk: its request, what follows it."""
FIRST_RATE = 400.0
SHORTEST_WAIT = 0.25
REMEMBERED = 400_000
"""Bytes after which an error counts half."""


class Pace:
    """`turn` is what passes between a short request and its answer, in seconds; `rate` is bytes a second on the wire."""

    def __init__(self) -> None:
        self.turn = 0.1
        self.rate = FIRST_RATE
        self._size = 1024
        self._errors = 0.0
        self._bytes = 0.0

    def turned(self, seconds: float) -> None:
        """A short request was answered after `seconds`."""
        self.turn += (seconds - self.turn) / 4

    def carried(self, size: int, seconds: float) -> None:
        """A chunk of `size` bytes on the wire arrived well after `seconds`, its answer included."""
        rate = size / max(seconds - self.turn / 2, 1e-4)
        self.rate = rate if self.rate == FIRST_RATE else self.rate + (rate - self.rate) / 4
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
        if self._errors > 0.1:
            around = AROUND + self.rate * self.turn / 2
            clean = self._bytes / self._errors
            most = min(most, int((math.sqrt(around * (around + 4 * clean)) - around) / 2))
        return max(SMALLEST, min(most, int(self.rate * SECONDS_A_CHUNK), LARGEST))

    @property
    def inline(self) -> int:
        """Bytes of a script or an output that are worth sending with the request or the answer itself."""
        return 768 if self._errors > 0.1 else 2048

    def _count(self, size: int) -> None:
        kept = 0.5 ** (size / REMEMBERED)
        self._errors *= kept
        self._bytes = self._bytes * kept + size
