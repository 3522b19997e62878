"""A way into this very machine: commands run in a local shell. For tests of what scripts do and say."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.content import Content, content_of
from bootstrap.transport.base import Command, Progress, Result
from bootstrap.transport.errors import CommandFailed, TransferDamaged

Chunks = Callable[[Iterator[bytes]], Iterator[bytes]]


@dataclass
class LocalTransport:
    """Runs scripts with `shell`; `wire` may change what a stream carries."""

    node: str = "s1"
    shell: tuple[str, ...] = ("sh",)
    wire: Chunks = field(default=lambda chunks: chunks)
    alive: bool = True

    def run(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        began = time.monotonic()
        done = subprocess.run(
            [*self.shell, "-c", command.script], input=stdin, capture_output=True, timeout=timeout, check=False
        )
        return Result(command, done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        result = self.run(command, stdin=stdin, timeout=timeout)
        if result.status:
            raise CommandFailed(command.name, node=self.node, got=result.stderr.decode(), hint="look at it")
        return result

    def stream(
        self, command: Command, chunks: Iterator[bytes], *, total: int, progress: Progress, timeout: float = 3600.0
    ) -> Result:
        data = b"".join(self.wire(chunks))
        progress(len(data), total)
        return self.check(command, stdin=data, timeout=timeout)

    def upload(self, source: Path | Content, destination: str, *, sha256: str, mode: int, progress: Progress) -> None:
        with content_of(source).open() as handle:
            data = handle.read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise TransferDamaged("damaged", node=self.node, hint="again")
        Path(destination).parent.mkdir(parents=True, exist_ok=True)
        Path(destination).write_bytes(data)
        Path(destination).chmod(mode)
        progress(len(data), len(data))

    def forward(self, host: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        return nullcontext((host, port))

    def close(self) -> None:
        return None
