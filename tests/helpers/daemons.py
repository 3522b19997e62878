"""Real daemons for tests: started on free loopback ports, ended by their process."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Poll until `condition` holds; AssertionError after `seconds`. What takes long to look at is looked at less often:
    it shares its processors with what is waited for."""
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        assert now < end, f"{what} did not come about within {seconds} s"
        time.sleep(min(max(0.1, 3 * (now - began)), 30.0))


@contextmanager
def daemon(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs for as long as the context lasts; its output goes to `log`."""
    with log.open("wb") as output, subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
