"""How many commands run at once over one connection: as many as the server takes.

sshd allows 10 sessions over one connection, unless MaxSessions of sshd_config(5) says otherwise, and tells no one how
many: it refuses the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

MOST = 8
# How long a server may take to notice that a session is closed, and how often it is asked for the next one meanwhile.
SETTLING = 5.0
AGAIN = 0.05
T = TypeVar("T")


class Sessions:
    """The sessions of one connection. Safe between threads."""

    def __init__(self, most: int = MOST) -> None:
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._most = most
        self._open = 0

    @property
    def most(self) -> int:
        """How many the server is taken to allow."""
        return self._most

    def opened(self, attempt: Callable[[], T], refused: type[Exception]) -> T:
        """What `attempt` gives, which opens a session. Where the server refuses it (`refused` is raised) while others
        are open, or were a moment ago, it is tried again. Whoever got one calls `closed` at its end."""
        alone_since: float | None = None
        while True:
            with self._changed:
                if self._open >= self._most:
                    alone_since = None
                    self._changed.wait_for(lambda: self._open < self._most)
                self._open += 1
            try:
                # One at a time: of two that are refused at once, Paramiko tells one why, and the other nothing.
                with self._opening:
                    return attempt()
            except refused:
                if self._gave_up_place():
                    alone_since = None
                else:
                    alone_since = alone_since or time.monotonic()
                    if time.monotonic() - alone_since > SETTLING:
                        raise
            except BaseException:
                self.closed()
                raise
            time.sleep(AGAIN)

    def closed(self) -> None:
        """A session has ended."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def _gave_up_place(self) -> int:
        """Note that the server allows no more than there are; how many others there are."""
        with self._changed:
            self._open -= 1
            if self._open:
                self._most = min(self._most, self._open)
            self._changed.notify_all()
            return self._open
