"""A line over file descriptors: what devices, sockets, terminals and pipes have in common."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import Protocol

from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.errors import line_lost

BLOCK = 65536
STALLED = 60.0
"""Seconds after which a line that takes not one byte counts as lost."""


class Carried(Protocol):
    """What the descriptors belong to."""

    def ended(self, error: OSError | None) -> str:
        """Why nothing more comes, in words."""
        ...

    def send_break(self) -> None:
        """A break condition, where there is one. Raises OSError."""
        ...

    def close(self) -> None:
        """Close the descriptors."""
        ...


class DescriptorLine:
    """A Line that reads one descriptor and writes one, which may be the same; both are made non-blocking.

    `stalled`: see STALLED.
    """

    def __init__(
        self, node: str, described: str, descriptors: tuple[int, int], carried: Carried, *, stalled: float = STALLED
    ) -> None:
        self.node = node
        self._described = described
        self._source, self._sink = descriptors
        self._carried = carried
        self._stalled = stalled
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._closing = threading.Lock()
        self._closed = False
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)
        # A descriptor that was closed under a waiting thread may be another file's by the time that it looks.
        self._wake, self._waker = os.pipe()

    @property
    def described(self) -> str:
        return self._described

    def read(self, seconds: float) -> bytes:
        end = time.monotonic() + max(0.0, seconds)
        with self._reading:
            while self._ready(self._source, select.POLLIN, end):
                try:
                    data = os.read(self._source, BLOCK)
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise self._lost(self._carried.ended(error)) from None
                if not data:
                    raise self._lost(self._carried.ended(None))
                return data
            return b""

    def write(self, data: bytes) -> None:
        with self._writing:
            rest = memoryview(data)
            end = time.monotonic() + self._stalled
            while rest:
                if not self._ready(self._sink, select.POLLOUT, end):
                    raise self._lost(
                        f"it took not one byte for {self._stalled:.0f} s",
                        "does only one side do flow control (console.flow), or was it stopped by Ctrl-S?",
                    )
                try:
                    taken = os.write(self._sink, rest[:BLOCK])
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise self._lost(self._carried.ended(error)) from None
                if taken:
                    rest = rest[taken:]
                    end = time.monotonic() + self._stalled

    def send_break(self) -> None:
        with self._writing:
            if self._closed:
                raise self._lost("it was closed here")
            try:
                self._carried.send_break()
            except OSError as error:
                raise self._lost(self._carried.ended(error)) from None

    def close(self) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
            os.write(self._waker, b"x")
            with self._reading, self._writing:
                self._carried.close()
                os.close(self._wake)
                os.close(self._waker)

    def _ready(self, descriptor: int, event: int, end: float) -> bool:
        """Whether the descriptor can be read or written before `end`; True where that is an error to be met."""
        if self._closed:
            raise self._lost("it was closed here")
        poll = select.poll()
        poll.register(descriptor, event)
        poll.register(self._wake, select.POLLIN)
        ready = dict(poll.poll(max(0.0, end - time.monotonic()) * 1000))
        if self._wake in ready:
            raise self._lost("it was closed here")
        return descriptor in ready

    def _lost(self, got: str, hint: str = "") -> LineLost:
        return line_lost(self.node, self._described, got, hint)


class Plain:
    """Descriptors with nothing behind them that could say more; `close` closes them."""

    def __init__(self, close: Callable[[], object], gone: str = "the other side closed it") -> None:
        self._close = close
        self._gone = gone

    def ended(self, error: OSError | None) -> str:
        return self._gone if error is None else (error.strerror or str(error))

    def send_break(self) -> None:
        """There is no such thing here."""

    def close(self) -> None:
        self._close()
