"""Real daemons for tests: started on free loopback ports, ended by their process."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from bootstrap.lab.machines.machine import port_is_free

# Below the range from which the kernel gives ports to outgoing connections: one of those may be taken again before a
# daemon listens on it. Each process of a run (-n) has ports of its own.
FIRST_PORT, PORTS_EACH, PROCESSES = 12000, 1000, 8


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that no one listens on now, and that were given to no one for as long as there are others."""
    return list(islice(filter(port_is_free, _PORTS), count))


def _own_ports() -> list[int]:
    """The ports of this process, begun anywhere: a run before this one may still have some."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    first = FIRST_PORT + worker * PORTS_EACH
    begin = random.SystemRandom().randrange(PORTS_EACH)
    return [first + (begin + number) % PORTS_EACH for number in range(PORTS_EACH)]


_PORTS = cycle(_own_ports())


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
