"""Signals that a part of a command takes for itself."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager


@contextmanager
def handled(numbers: Collection[signal.Signals], handler: Callable[..., object]) -> Iterator[None]:
    """While the context lasts, `handler` gets these signals; afterwards whoever had them before. Main thread alone."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
