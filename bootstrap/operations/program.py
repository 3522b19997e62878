"""Whoever has an operation done: the command line, or a Python program of somebody's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bootstrap.connect.ssh import Ask
from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.events import Observer, unobserved
from bootstrap.inventory.model import Inventory

Shows = Callable[[Inventory], AbstractContextManager[Observer]]
"""Opens what is told the events of the nodes of an inventory, for as long as the context lasts."""


@dataclass(frozen=True)
class Program:
    """How an operation is told of, and what it may ask.

    `command` is what the journal and others say is at work. `shows` is opened while an operation looks, and again
    while it acts; `say` is told what stands in no event. `ask` is asked about host keys that nothing is known of;
    without it they are refused. `stops` lasts while something is done, and may cancel it: the command line hears Ctrl-C
    there. At most `parallel` nodes are looked at, and as many actions done, at the same time.
    """

    command: str
    shows: Shows = lambda _: nullcontext(unobserved)
    say: Callable[[str], None] = lambda _: None
    ask: Ask | None = None
    stops: Callable[[Cancellation], AbstractContextManager[object]] = lambda _: nullcontext()
    parallel: int = 16


def observing(observe: Observer) -> Shows:
    """`shows` of a program that has one function which is told every event."""
    return lambda _: nullcontext(observe)
