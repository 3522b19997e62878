"""Threads that ask many nodes at once, and don't keep a person waiting who pressed Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def asking(threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A pool of up to `threads` threads for questions that change nothing. It ends when all are answered; Ctrl-C leaves
    those that are under way to themselves."""
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix=name)
    patient = True
    try:
        yield pool
    except KeyboardInterrupt:
        patient = False
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=not patient)
