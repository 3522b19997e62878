"""One apply at a time on this machine: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bootstrap.errors import Refused


@contextmanager
def file_lock(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock at `path` while doing something. Raises Refused that says who holds it, since when and why.

    The kernel lets go of it when the holder ends (flock(2)): there is no stale lock to remove.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "another clusterup is at work on this cluster",
                step="lock",
                tried=doing,
                got=_holder(os.read(handle, 4096)),
                hint="wait until it has ended, then run this again",
            ) from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "doing": doing}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(who).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(content: bytes) -> str:
    try:
        who = json.loads(content)
        return f"process {who['pid']} on {who['host']} since {who['since']}: {who['doing']}"
    except (ValueError, KeyError):
        return "a process that has just begun"
