"""A line to a console: bytes out, bytes in, whatever carries them."""

from __future__ import annotations

from typing import Protocol


class Line(Protocol):
    """An open line to one console. Reading and writing may happen in two threads at the same time."""

    @property
    def described(self) -> str:
        """What a person calls it, with its speed where it has one: "/dev/ttyUSB0 at 115200"."""
        ...

    def read(self, seconds: float) -> bytes:
        """What has come by now, at least a byte; empty after `seconds` without one. Raises LineLost once the line is
        gone (unplugged, closed by the other side)."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`; waits while the other side takes no more. Raises LineLost."""
        ...

    def send_break(self) -> None:
        """A break condition, where the line can carry one; nothing otherwise. Raises LineLost."""
        ...

    def close(self) -> None:
        """Let go of the line. Safe to call twice."""
        ...


class ThroughLine:
    """A Line that passes everything on to another: for those that do something more with part of it."""

    def __init__(self, line: Line) -> None:
        self._line = line

    @property
    def described(self) -> str:
        return self._line.described

    def read(self, seconds: float) -> bytes:
        return self._line.read(seconds)

    def write(self, data: bytes) -> None:
        self._line.write(data)

    def send_break(self) -> None:
        self._line.send_break()

    def close(self) -> None:
        self._line.close()

    def hide(self, secret: bytes) -> None:
        """From now on, keep `secret` out of whatever keeps what is read."""
        if isinstance(self._line, ThroughLine):
            self._line.hide(secret)
