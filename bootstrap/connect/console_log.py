"""Keeping what the consoles of nodes say while something is done on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bootstrap.connect.console_target import console_target
from bootstrap.errors import ClusterupError
from bootstrap.inventory.model import Inventory
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.errors import LineInUse
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.line.open import open_line

LOOK_SECONDS = 0.5
AGAIN_SECONDS = 5.0


@contextmanager
def watched_consoles(inventory: Inventory, doing: str) -> Iterator[None]:
    """While the context lasts, what comes over the consoles of nodes goes to their logs. `doing` is what others are
    told who want a line meanwhile.

    A console that somebody else of this machine reads is left to them: they keep the same log. One that can't be opened
    is tried again, and its failure keeps no one from anything.
    """
    targets = [
        target
        for node in inventory.nodes
        if not node.console.only and (target := console_target(node, inventory.cluster.name)) is not None
    ]
    over = threading.Event()
    readers = [threading.Thread(target=_read, args=(target, doing, over), daemon=True) for target in targets]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        over.set()
        for reader in readers:
            reader.join()


def _read(target: ConsoleTarget, doing: str, over: threading.Event) -> None:
    while not over.is_set():
        try:
            line = open_line(target, doing)
        except LineInUse:
            return
        except ClusterupError:
            over.wait(AGAIN_SECONDS)
            continue
        _read_on(line, over)


def _read_on(line: Line, over: threading.Event) -> None:
    try:
        while not over.is_set():
            line.read(LOOK_SECONDS)
    except LineLost:
        over.wait(AGAIN_SECONDS)
    finally:
        line.close()
