"""What every process of this machine is called with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Programs that are gone sooner are not all seen. Seconds.
EVERY = 0.5


@contextmanager
def arguments_seen() -> Iterator[set[str]]:
    """The arguments of the processes that are there meanwhile; all of them once the context is left."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while True:
            seen.update(arguments_now())
            if over.wait(EVERY):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def arguments_now() -> Iterator[str]:
    """The whole command line of each process, however long (proc(5))."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
