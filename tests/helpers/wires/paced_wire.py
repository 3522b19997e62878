"""A wire of a certain speed between a Unix socket that it makes and another one: what a slow line is, and how much came
over it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TICK = 0.01


@dataclass
class Carried:
    """Bytes that were carried to the far end, and from it."""

    there: int = 0
    back: int = 0


@contextmanager
def paced_wire(near: Path, far: Path, rate: int) -> Iterator[Carried]:
    """Whoever connects to `near` is connected to `far`, one at a time, with no more than `rate` bytes a second each
    way."""
    carried, over = Carried(), threading.Event()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(near))
    listener.listen(1)
    carrier = threading.Thread(target=_serve, args=(listener, far, rate, carried, over), daemon=True)
    carrier.start()
    try:
        yield carried
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        carrier.join()


def _serve(listener: socket.socket, far: Path, rate: int, carried: Carried, over: threading.Event) -> None:
    while not over.is_set():
        try:
            ours, _ = listener.accept()
        except OSError:
            return
        with ours, socket.socket(socket.AF_UNIX) as theirs, suppress(OSError):
            theirs.connect(str(far))
            answers = threading.Thread(target=_carry, args=(theirs, ours, rate, carried, "back"), daemon=True)
            answers.start()
            _carry(ours, theirs, rate, carried, "there")
            answers.join()


def _carry(source: socket.socket, target: socket.socket, rate: int, carried: Carried, way: str) -> None:
    free = time.monotonic()
    with suppress(OSError):
        while data := source.recv(max(1, int(rate * TICK))):
            free = max(free, time.monotonic()) + len(data) / rate
            target.sendall(data)
            setattr(carried, way, getattr(carried, way) + len(data))
            time.sleep(max(0.0, free - time.monotonic()))
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
