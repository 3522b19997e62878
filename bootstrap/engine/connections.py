"""One way into each node, opened when first needed and kept for as long as it leads there."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable

from bootstrap.errors import Interrupted
from bootstrap.transport.base import Transport


class Connections:
    """The transports of a run. Safe between threads: nodes are opened at the same time, one node only once."""

    def __init__(self, open_node: Callable[[str], Transport]) -> None:
        self._open = open_node
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._transports: dict[str, Transport] = {}
        self._abandoned = threading.Event()

    def on(self, node: str) -> Transport:
        """The way into `node`; another one where the last was lost. Raises TransportError when it can't be opened, and
        the next call tries again; Interrupted when all ways were abandoned."""
        with self._lock(node):
            self._go_on(node)
            transport = self._transports.get(node)
            if transport is not None and not transport.alive:
                del self._transports[node]
                transport.close()
                transport = None
            if transport is None:
                transport = self._transports[node] = self._open(node)
        # From here on another thread may drop it, which its user notices as when it is lost.
        if self._abandoned.is_set():
            self.drop(node)
            self._go_on(node)
        return transport

    def reopen(self, node: str) -> Transport:
        """A new way into `node`; the old one is closed first."""
        self.drop(node)
        return self.on(node)

    def drop(self, node: str) -> None:
        """Close the way into `node`, if there is one."""
        with self._lock(node):
            transport = self._transports.pop(node, None)
        if transport is not None:
            transport.close()

    def abandon(self) -> None:
        """Close every way in at once, under the hands of those who use them, and open none any more."""
        self._abandoned.set()
        for transport in list(self._transports.values()):
            # One that is stuck keeps neither the others nor the caller.
            threading.Thread(target=transport.close, daemon=True).start()

    def close_all(self) -> None:
        """Close every way in."""
        for node in list(self._transports):
            self.drop(node)

    def _go_on(self, node: str) -> None:
        if self._abandoned.is_set():
            raise Interrupted("stopped", node=node, hint="run the command again: it goes on from what is true by then")

    def _lock(self, node: str) -> threading.Lock:
        with self._guard:
            return self._locks[node]
