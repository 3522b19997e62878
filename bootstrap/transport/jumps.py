"""Ways to jump hosts that nodes behind them share: one connection, however many nodes there are.

sshd takes few connections at once that are not logged in yet (MaxStartups of sshd_config(5), usually 10) and drops
others at random.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bootstrap.errors import ClusterupError
from bootstrap.transport.target import Hop

if TYPE_CHECKING:
    import paramiko

Transports = tuple["paramiko.Transport", ...]


@dataclass
class _Way:
    opened: Future[Transports]
    users: int = 0


@dataclass
class Jumps:
    """The ways that are open, each for as long as somebody uses it. Safe between threads."""

    close: Callable[[Transports], None]
    _ways: dict[Hashable, _Way] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def through(self, hops: Sequence[Hop], node: str, open_them: Callable[[], Transports]) -> Transports:
        """The connections of the jump hosts, opened by `open_them` where no one has them open; given back with `leave`.
        Whoever waits for them while they are opened gets the same error, as that of their own `node`."""
        if not hops:
            return ()
        key = _key(hops)
        with self._guard:
            way = self._ways.get(key)
            if way is None or _is_lost(way):
                way = self._ways[key] = _Way(Future())
                ours = True
            else:
                ours = False
            way.users += 1
        if ours:
            self._open(key, way, open_them)
        try:
            return way.opened.result()
        except ClusterupError as error:
            raise _of(error, node) from None

    def leave(self, transports: Transports) -> None:
        """Give them back; the last one who does closes them."""
        if not transports:
            return
        with self._guard:
            for key, way in list(self._ways.items()):
                if way.opened.done() and not way.opened.exception() and way.opened.result() == transports:
                    way.users -= 1
                    if way.users:
                        return
                    del self._ways[key]
        self.close(transports)

    def _open(self, key: Hashable, way: _Way, open_them: Callable[[], Transports]) -> None:
        try:
            opened = open_them()
        except BaseException as error:
            with self._guard:
                if self._ways.get(key) is way:
                    del self._ways[key]
            way.opened.set_exception(error)
        else:
            way.opened.set_result(opened)


def _of(error: ClusterupError, node: str) -> ClusterupError:
    """The same error, as that of another node."""
    theirs = type(error).__new__(type(error), *error.args)
    vars(theirs).update(vars(error), node=node)
    return theirs


def _is_lost(way: _Way) -> bool:
    if not way.opened.done() or way.opened.exception() is not None:
        return False
    return not all(transport.is_active() for transport in way.opened.result())


def _key(hops: Sequence[Hop]) -> Hashable:
    """What makes a way the same for two nodes: where it leads over, and as whom."""
    return tuple((hop.host, hop.port, hop.user, hop.keys, hop.agent_socket, hop.host_key) for hop in hops)
