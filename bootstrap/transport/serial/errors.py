"""Failures of a console, each with its node, the line and its speed, and what came back."""

from __future__ import annotations

from pathlib import Path

from bootstrap.errors import Refused
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.transport.errors import AuthenticationFailed, LineLost, TransportError

STEP = "console"


class ConsoleFailed(TransportError):
    """The console can't be opened, or no shell is to be had on it."""


class ConsoleLoginFailed(ConsoleFailed, AuthenticationFailed):
    """The node asked who we are and did not let us in, or did not let us become root: asking again locks accounts."""


class LineInUse(Refused):
    """Another clusterup of this machine holds the line; `log` is where it keeps what it reads, None where nowhere."""

    def __init__(self, target: ConsoleTarget, holder: str, log: Path | None) -> None:
        super().__init__(
            "its console is in use by another clusterup",
            node=target.node,
            step=STEP,
            tried=f"open {target.described}",
            got=holder,
            hint="wait until it has ended, or end it; `clusterup console` shows meanwhile what it reads",
        )
        self.log = log


def console_failed(target: ConsoleTarget, problem: str, *, tried: str = "", got: str, hint: str) -> ConsoleFailed:
    """A console that can't be used; `tried` is opening it, unless it says something else."""
    return ConsoleFailed(
        problem, node=target.node, step=STEP, tried=tried or f"open {target.described}", got=got, hint=hint
    )


def line_lost(node: str, described: str, got: str, hint: str = "") -> LineLost:
    """The line is gone in the middle of its use."""
    return LineLost(
        "the line to its console is gone",
        node=node,
        step=STEP,
        tried=f"read and write {described}",
        got=got,
        hint=hint or "look at the cable, or at what carries the line; then try again",
    )
