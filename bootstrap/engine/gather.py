"""Reading facts from all nodes at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import Generic, TypeVar

from bootstrap.engine.connections import Connections
from bootstrap.engine.events import FactsRead, Observer
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.system_errors import as_error
from bootstrap.transport.base import Transport

T = TypeVar("T")


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """What each node answered, and what went wrong on those that did not."""

    values: dict[str, T]
    errors: dict[str, ClusterupError]


def gather(
    nodes: Sequence[str],
    read: Callable[[Transport], T],
    connections: Connections,
    *,
    parallel: int,
    observe: Observer,
    keep: Collection[str] | None = None,
) -> Gathered[T]:
    """Call `read` with the way into each node, at most `parallel` at a time.

    A node that can't be reached, or that answers what no one expected, is in `errors` and stops no one else. The ways
    into nodes that are not in `keep` are closed again, where it is given: a thousand that stay open cost more than
    those that are needed again.
    """
    gathered: Gathered[T] = Gathered({}, {})
    if not nodes:
        return gathered
    with asking(min(parallel, len(nodes)), "facts") as pool:
        asked = {pool.submit(_ask, node, read, connections, keep): node for node in nodes}
        for answer in as_completed(asked):
            node = asked[answer]
            try:
                gathered.values[node] = answer.result()
            except Exception as found:
                gathered.errors[node] = as_error(found, node=node, step="facts", tried="read what the machine is")
            observe(FactsRead(node=node, error=gathered.errors.get(node)))
    return gathered


def _ask(node: str, read: Callable[[Transport], T], connections: Connections, keep: Collection[str] | None) -> T:
    try:
        return read(connections.on(node))
    finally:
        if keep is not None and node not in keep:
            connections.drop(node)
