"""A way into a node that tells an observer about every command: what `-v` shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bootstrap.content import Content
from bootstrap.engine.events import CommandRan, Observer
from bootstrap.transport.base import Command, Progress, Result, Transport


@dataclass(frozen=True)
class LoggedTransport:
    """Passes everything on to `inner`. Names of commands are told, never what they read or write."""

    inner: Transport
    observe: Observer

    @property
    def node(self) -> str:
        return self.inner.node

    @property
    def alive(self) -> bool:
        return self.inner.alive

    def run(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        return self._told(self.inner.run(command, stdin=stdin, timeout=timeout))

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        return self._told(self.inner.check(command, stdin=stdin, timeout=timeout))

    def stream(
        self, command: Command, chunks: Iterator[bytes], *, total: int, progress: Progress, timeout: float = 3600.0
    ) -> Result:
        return self._told(self.inner.stream(command, chunks, total=total, progress=progress, timeout=timeout))

    def upload(self, source: Path | Content, destination: str, *, sha256: str, mode: int, progress: Progress) -> None:
        self.inner.upload(source, destination, sha256=sha256, mode=mode, progress=progress)

    def forward(self, host: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        return self.inner.forward(host, port)

    def close(self) -> None:
        self.inner.close()

    def _told(self, result: Result) -> Result:
        self.observe(CommandRan(node=self.node, name=result.command.name, status=result.status, seconds=result.seconds))
        return result
