"""What came of one command, over whatever it was sent."""

from __future__ import annotations

from dataclasses import dataclass

KEPT_OUTPUT = 8 * 1024 * 1024
"""Bytes of each output that are kept, the newest ones."""
MORE_THAN_OURS = 5
"""Seconds the far side's own time-out is longer than ours, which says more when it strikes."""


class ChannelTimeout(Exception):
    """The command did not end in its time. `stderr`: what it had said by then."""

    def __init__(self, stderr: bytes) -> None:
        super().__init__("time-out")
        self.stderr = stderr


class ChannelLost(Exception):
    """The command has no exit status: it could not be started, was killed, or the connection broke."""


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """Exit status and both outputs (the last 8 MiB of each)."""

    status: int
    stdout: bytes
    stderr: bytes
