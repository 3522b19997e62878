"""What was read on a line, kept in a file: to be followed, and for messages when a node does not come back."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from bootstrap.paths import private_folder
from bootstrap.transport.serial.line.base import Line, ThroughLine
from bootstrap.transport.serial.text import last_lines

KEPT_BYTES = 4 * 1024 * 1024
"""Size at which a log begins again; the one before it is kept beside it."""
HIDDEN = b"[hidden]"


class ConsoleLog:
    """A file of mode 0600 that grows to `limit` bytes, then becomes NAME.1 and begins again. Safe for several threads.

    A full disk ends nothing but the log.
    """

    def __init__(self, path: Path, limit: int = KEPT_BYTES) -> None:
        self.path = path
        self._limit = limit
        self._lock = threading.Lock()
        self._handle = -1
        self._size = 0

    def write(self, data: bytes) -> None:
        with self._lock, suppress(OSError):
            if self._handle < 0 or self._size >= self._limit:
                self._begin()
            while data:
                data = data[os.write(self._handle, data) :]
            self._size = os.fstat(self._handle).st_size

    def close(self) -> None:
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1

    def _begin(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        private_folder(self.path.parent)
        if self.path.exists() and self.path.stat().st_size >= self._limit:
            self.path.replace(rotated(self.path))
        self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.fchmod(self._handle, 0o600)
        self._size = os.fstat(self._handle).st_size


def rotated(log: Path) -> Path:
    """Where a log's older half is."""
    return log.with_name(log.name + ".1")


def tail_of(log: Path, lines: int = 10) -> str:
    """The last readable lines of a console's log; empty where there are none."""
    found = last_lines(log, lines)
    missing = lines - len(found.split("\n") if found else ())
    older = last_lines(rotated(log), missing) if missing > 0 else ""
    return "\n".join(part for part in (older, found) if part)


class LoggedLine(ThroughLine):
    """A Line that keeps what is read on it in a log. Secrets that were named to `hide` never get there, wherever the
    pieces are cut."""

    def __init__(self, line: Line, log: ConsoleLog) -> None:
        super().__init__(line)
        self._log = log
        self._secrets: tuple[bytes, ...] = ()
        self._held = b""

    def read(self, seconds: float) -> bytes:
        data = super().read(seconds)
        if data:
            self._keep(data)
        elif self._held:
            # Nothing follows: what looked like the beginning of a secret was none.
            self._log.write(self._held)
            self._held = b""
        return data

    def close(self) -> None:
        super().close()
        self._log.write(self._held)
        self._held = b""
        self._log.close()

    def hide(self, secret: bytes) -> None:
        """From now on, keep `secret` out of the log."""
        if secret and secret not in self._secrets:
            self._secrets = (*self._secrets, secret)

    def _keep(self, data: bytes) -> None:
        data = hidden(self._held + data, self._secrets)
        cut = max((_begun(data, secret) for secret in self._secrets), default=0)
        self._held = data[len(data) - cut :]
        self._log.write(data[: len(data) - cut])


def hidden(data: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """The data without the secrets in it."""
    for secret in secrets:
        data = data.replace(secret, HIDDEN)
    return data


def _begun(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of the data may be the beginning of the secret."""
    return next((size for size in range(min(len(secret) - 1, len(data)), 0, -1) if data.endswith(secret[:size])), 0)
