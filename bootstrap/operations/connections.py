"""The ways into the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bootstrap.connect.ssh import Ask, opener
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Observer
from bootstrap.engine.logged import LoggedTransport
from bootstrap.inventory.model import Inventory
from bootstrap.operations.intent import Intent

KEPT_OPEN = 100
"""Ways into so many nodes stay open from the look to the last action; of more, each costs more than it saves."""


def kept_open(inventory: Inventory, needed: Sequence[str]) -> list[str]:
    """The nodes whose ways stay open after a look: all where they are few, else those that are `needed` again. None of
    them leads over a console: a root shell would stay open there while a person is asked."""
    names = needed if len(inventory.nodes) > KEPT_OPEN else [node.name for node in inventory.nodes]
    consoles = {node.name for node in inventory.nodes if node.console.only}
    return [name for name in names if name not in consoles]


@contextmanager
def connections_of(intent: Intent, observe: Observer, ask: Ask | None = None) -> Iterator[Connections]:
    """The ways into the nodes over SSH. `ask` is asked about host keys that nothing is known of; without it they are
    refused."""
    open_node = opener(intent.everybody, intent.state, ask)
    connections = Connections(lambda name: LoggedTransport(open_node(name), observe))
    try:
        yield connections
    finally:
        connections.close_all()
