"""One interface to a node, whatever the way in.

Everything that runs on a node is a `Command`: a name for the log and a POSIX shell script. Scripts are
built and quoted in one place (the modules `commands` in `phases/`); secrets travel on standard input only.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bootstrap.content import Content

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all, from the thread that does the transfer."""


@dataclass(frozen=True, slots=True)
class Command:
    """A shell script with a name. `script` is run by the far side's `sh`, as root."""

    name: str
    script: str

    @classmethod
    def of(cls, name: str, template: str, *arguments: str) -> Command:
        """A command from a template whose `{}` are filled with shell-quoted arguments."""
        return cls(name, template.format(*(shlex.quote(argument) for argument in arguments)))


@dataclass(frozen=True, slots=True)
class Result:
    """What a command gave back: exit status, both outputs (bytes, each bounded), wall time in seconds."""

    command: Command
    status: int
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")


class Transport(Protocol):
    """A way into one node, as root. Safe to use from several threads."""

    @property
    def node(self) -> str:
        """The node's name in the inventory."""
        ...

    @property
    def alive(self) -> bool:
        """False once the way in is known to be lost: nothing will get through it any more."""
        ...

    def run(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """Run a command and return its result whatever its exit status.

        Raises TransportError when the way in is lost or the time-out (seconds) passes.
        """
        ...

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """As `run`, but an exit status other than 0 raises CommandFailed."""
        ...

    def stream(
        self,
        command: Command,
        chunks: Iterator[bytes],
        *,
        total: int,
        progress: Progress,
        timeout: float = 3600.0,
    ) -> Result:
        """Run a command and feed it the chunks on standard input; `total` is their length in bytes.

        Exit status other than 0 raises CommandFailed with the last lines of its error output.
        """
        ...

    def upload(self, source: Path | Content, destination: str, *, sha256: str, mode: int, progress: Progress) -> None:
        """Put a file, or a stretch of one, on the node: streamed to `destination`.part, resumed there after a cut,
        hashed on arrival, renamed into place. Raises TransferDamaged when the hash differs (the part is removed)."""
        ...

    def forward(self, host: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """A loopback address (host, port) on the operator's machine that leads to host:port as seen from
        the node, for as long as the context lasts."""
        ...

    def close(self) -> None:
        """Let go of the connection. Safe to call twice."""
        ...
