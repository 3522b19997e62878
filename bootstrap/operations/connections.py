"""The ways into the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bootstrap.connect.ssh import Ask, OpenNode, opener
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Observer
from bootstrap.engine.logged import LoggedTransport
from bootstrap.inventory.model import Inventory
from bootstrap.operations.intent import Intent
from bootstrap.state.cluster import ClusterState


@contextmanager
def connections_of(
    intent: Intent, observe: Observer, ask: Ask | None = None, through: Callable[[OpenNode], OpenNode] = lambda way: way
) -> Iterator[Connections]:
    """The ways into the nodes. `ask` is asked about host keys that nothing is known of; without it they are refused.
    `through` makes something else of what opens a node over SSH."""
    with connections_to(intent.everybody, intent.state, observe, ask, through) as connections:
        yield connections


@contextmanager
def connections_to(
    inventory: Inventory,
    state: ClusterState,
    observe: Observer,
    ask: Ask | None = None,
    through: Callable[[OpenNode], OpenNode] = lambda way: way,
) -> Iterator[Connections]:
    """As `connections_of`, for an inventory of which nothing more than its nodes is needed."""
    open_node = through(opener(inventory, state, ask))
    connections = Connections(lambda name: LoggedTransport(open_node(name), observe))
    try:
        yield connections
    finally:
        connections.close_all()
