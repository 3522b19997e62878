"""Signals that a part of a command takes for itself, and the last words after Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

INTERRUPTED = "interrupted: the same command, run again, begins with what is true by then"


@contextmanager
def handled(numbers: Collection[signal.Signals], handler: Callable[..., object]) -> Iterator[None]:
    """While the context lasts, `handler` gets these signals; afterwards whoever had them before. Main thread alone."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def end_interrupted() -> NoReturn:
    """End with exit code 130 and one line that says how to go on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whoever read our output may be gone, as Ctrl-C ends all of a pipe.
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        # On a terminal the cursor stands behind "^C".
        sys.stderr.write(("\n" if sys.stderr.isatty() else "") + f"{INTERRUPTED}\n")
        sys.stderr.flush()
    # Questions under way, to nodes that don't answer or to a person, would keep the process.
    os._exit(130)
