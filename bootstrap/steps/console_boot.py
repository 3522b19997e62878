"""Installing a node over its console alone: how long it takes, and how it is seen that the installed system started."""

from __future__ import annotations

from bootstrap.engine.action import Context
from bootstrap.errors import ClusterupError
from bootstrap.steps.consoles import INSTALLED, Heard
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.links import open_line
from bootstrap.transport.serial.target import ConsoleTarget

LOOK_SECONDS = 1.0
BITS = 10
"""Bits on the line for a byte: a start bit, eight, a stop bit."""
OVERHEAD = 1.05
"""What framing and sums add (docs/serial.md)."""


def estimate(console: ConsoleTarget, size: int) -> str:
    """How long `size` bytes take over the console, in words: "2 h 5 min over /dev/ttyUSB0 at 115200 baud"."""
    seconds = size * BITS * OVERHEAD / console.baud
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    time = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"about {time} over {console.url} at {console.baud} baud ({size / 1e6:.0f} MB)"


def wait_for_installed(context: Context, node: str, console: ConsoleTarget, expected: str, timeout: float) -> None:
    """Read what the console says until it is that of the installed system with the configuration `expected` (SHA-256),
    for `timeout` seconds. Raises ClusterupError when it doesn't come, or comes with another configuration."""
    waiting = _Waiting(console)
    try:
        context.wait_until(waiting.installed, what="the installed system", timeout=timeout, every=0.0)
    finally:
        waiting.close()
    if waiting.configuration != expected:
        raise ClusterupError(
            "the machine came back with something else than what was installed",
            node=node,
            step="boot",
            tried="read what its console says",
            got=f"configuration {waiting.configuration}",
            hint="set its firmware to start from the disk it was installed to",
        )


class _Waiting:
    """Reads a console, opened anew where it was lost: a management board may end it when the machine restarts."""

    def __init__(self, console: ConsoleTarget) -> None:
        self.configuration = ""
        self._console = console
        self._heard: Heard | None = None

    def installed(self) -> bool:
        """Whether the installed system has shown itself. Raises ConsoleFailed, LineLost."""
        if self._heard is None:
            self._heard = Heard(open_line(self._console, "waiting for the installed system"))
        try:
            self._heard.read(LOOK_SECONDS)
        except LineLost:
            self.close()
            raise
        found = INSTALLED.findall(self._heard.text)
        self.configuration = found[-1] if found else ""
        return bool(found)

    def close(self) -> None:
        if self._heard is not None:
            self._heard.close()
            self._heard = None
