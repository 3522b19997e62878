"""The way into a node over its serial console, once somebody has got a root shell on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic

from bootstrap.content import Content
from bootstrap.transport.base import Command, Progress, Result
from bootstrap.transport.errors import TransportError
from bootstrap.transport.outcome import ChannelLost, ChannelTimeout, CommandOutcome
from bootstrap.transport.results import cut_off, succeeded, took_too_long
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.protocol.encodings import Encoding
from bootstrap.transport.serial.protocol.runner import Errands
from bootstrap.transport.serial.protocol.session import Conversation

PATIENCE = 30.0
"""Seconds that a line may say nothing while it is asked."""
COMEBACK = 120.0
"""Seconds that a lost line is given to come back."""
SLOWEST_LINE = 200
"""Bytes a second of the slowest console."""
STOPPING = 10.0
"""Seconds that whoever uses the line may take to notice that it is being closed."""
LEAVING = 5.0
"""Seconds that removing what is ours from the node may take."""


class SerialTransport:
    """A `Transport` over a serial console: one conversation at a time, whoever asks.

    `reopen` opens the line and gets a root shell on it, as often as needed; `line` is one that is open already. Of
    `encodings` the first that the line carries is taken; raw bytes are for lines that no program in between listens to.
    `log_out` undoes at the end what `reopen` did on the node.
    """

    def __init__(
        self,
        node: str,
        reopen: Callable[[], Line],
        *,
        line: Line | None = None,
        patience: float = PATIENCE,
        comeback: float = COMEBACK,
        encodings: Sequence[Encoding] = tuple(Encoding),
        log_out: Callable[[Line], None] = lambda _: None,
    ) -> None:
        self._talk = Conversation(node, reopen, patience=patience, comeback=comeback)
        self._errands = Errands(self._talk, encodings)
        self._lock = threading.Lock()
        self._lost = False
        self._log_out = log_out
        self._talk.begin(line)

    @property
    def node(self) -> str:
        return self._talk.node

    @property
    def alive(self) -> bool:
        """See `Transport.alive`."""
        return not self._lost

    def run(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """See `Transport.run`. The last 8 MiB of each output are kept."""
        return self._run(command, timeout, lambda: self._errands.run(command.script, stdin, timeout))

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """See `Transport.check`."""
        return succeeded(self.run(command, stdin=stdin, timeout=timeout), self.node, self._where)

    def stream(
        self,
        command: Command,
        chunks: Iterator[bytes],
        *,
        total: int,
        progress: Progress,
        timeout: float = 3600.0,
    ) -> Result:
        """See `Transport.stream`. `progress` counts what the node has confirmed."""
        result = self._run(
            command,
            timeout,
            lambda: self._errands.feed(command.script, chunks, total, timeout, lambda done: progress(done, total)),
        )
        return succeeded(result, self.node, self._where)

    def upload(self, source: Path | Content, destination: str, *, sha256: str, mode: int, progress: Progress) -> None:
        """See `Transport.upload`."""
        from bootstrap.transport.upload import upload

        upload(self, source, destination, sha256=sha256, mode=mode, progress=progress, slowest=SLOWEST_LINE)

    def forward(self, host: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """Raises TransportError: a serial console carries no connections."""
        raise TransportError(
            f"ports can't be forwarded over a serial console, and {host}:{port} is to be reached through it",
            node=self.node,
            step="forward",
            tried=f"to reach {host}:{port} over {self._where}",
            hint="give the node a network and its SSH server an address (ssh in the inventory)",
        )

    def close(self) -> None:
        """See `Transport.close`. The far side removes what is its own, and leaves the shell as it found it."""
        if self._talk.closing.is_set():
            return
        usable, self._lost = self.alive, True
        self._talk.closing.set()
        if usable and self._lock.acquire(timeout=STOPPING):
            try:
                self._talk.leave(LEAVING)
                self._log_out(self._talk.line)
            finally:
                self._lock.release()
        self._talk.line.close()

    @property
    def _where(self) -> str:
        return self._talk.line.described

    def _run(self, command: Command, timeout: float, work: Callable[[], CommandOutcome]) -> Result:
        with self._lock:
            started = monotonic()
            try:
                outcome = work()
            except ChannelTimeout as error:
                raise took_too_long(command.name, self.node, self._where, timeout, error.stderr) from None
            except ChannelLost as error:
                raise cut_off(command.name, self.node, self._where, str(error)) from None
            except TransportError:
                self._lost = True
                raise
        return Result(command, outcome.status, outcome.stdout, outcome.stderr, monotonic() - started)
