"""etcd through whichever of its members answers: a rolling restart takes none of those away who ask."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import TypeVar

from bootstrap.clients.etcd import EtcdClient, EtcdError
from bootstrap.errors import ClusterupError

T = TypeVar("T")


@dataclass(frozen=True)
class Way:
    """How the member on `server` is reached: `open` makes a client that is closed at the end of its context."""

    server: str
    open: Callable[[], AbstractContextManager[EtcdClient]]


class AnyMember:
    """The first of `ways` that answers, kept open until it no longer does. For one thread at a time."""

    def __init__(self, ways: Sequence[Way]) -> None:
        self._ways = deque(ways)
        self._opened = ExitStack()
        self._client: EtcdClient | None = None

    @property
    def server(self) -> str:
        """Whose member is asked first now."""
        return self._ways[0].server

    def ask(self, call: Callable[[EtcdClient], T]) -> T:
        """What `call` gets from the member that answered last, or from each of the others in turn.

        A call may be made a second time when the answer to the first was lost. Raises EtcdError with what was said
        by each when none answers.
        """
        said: list[str] = []
        for _ in range(len(self._ways)):
            try:
                if self._client is None:
                    self._client = self._opened.enter_context(self._ways[0].open())
                return call(self._client)
            except Exception as error:
                # Whatever it is, the next server may do better; what it was is said if none does.
                said.append(f"{self.server}: {_words(error)}")
                self.close()
                self._ways.rotate(-1)
        raise EtcdError(
            "no member of etcd answers",
            step="lock",
            tried=f"ask etcd on {', '.join(way.server for way in self._ways)}",
            got="; ".join(said) or "there is no server",
            hint="a majority of the servers has to be up: look at `journalctl -u etcd` on them, then run the command "
            "again",
        )

    def close(self) -> None:
        """Let go of the connection; the next question opens another."""
        self._client = None
        # It may be broken, which no one has to hear of who is about to ask another member.
        with suppress(Exception):
            self._opened.close()


def _words(error: Exception) -> str:
    if not isinstance(error, ClusterupError):
        return f"{type(error).__name__}: {error}"
    return f"{error.problem} ({error.got})" if error.got else error.problem
