"""Calling what is due, from one thread for all: one that waits beside each command costs more than most commands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic

# Fewer than that are not worth tidying up.
FEW = 256


class Deadlines:
    """Calls that are made in their time unless they are cancelled before. Safe between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._cancelled = 0
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def call_in(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Make `call`, which must not block, in so many seconds. Returns what cancels it, any number of times."""
        due = monotonic() + seconds
        waiting = [call]
        with self._changed:
            heappush(self._calls, (due, next(self._numbers), waiting))
            if self._thread is None:
                self._thread = threading.Thread(target=self._wait, name="deadlines", daemon=True)
                self._thread.start()
            elif self._calls[0][2] is waiting:
                self._changed.notify()

        def cancel() -> None:
            with self._changed:
                if waiting:
                    waiting.clear()
                    self._cancelled += 1
                    self._tidy_up()

        return cancel

    def _tidy_up(self) -> None:
        if self._cancelled > max(FEW, len(self._calls) // 2):
            self._calls = [entry for entry in self._calls if entry[2]]
            heapify(self._calls)
            self._cancelled = 0

    def _wait(self) -> None:
        while True:
            with self._changed:
                left = self._calls[0][0] - monotonic() if self._calls else None
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                _, _, waiting = heappop(self._calls)
                calls = tuple(waiting)
                self._cancelled -= not calls
                waiting.clear()
            for call in calls:
                call()
