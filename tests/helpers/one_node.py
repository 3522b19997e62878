"""What an action gets when it runs: a context of a single node, in which nothing that is waited for takes time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bootstrap.transport.base import Transport


@dataclass
class OneNode:
    """A context whose only node is reached by `transport`, which is never left, and to which nothing is transferred.
    What is waited for has come about at the first look."""

    transport: Transport

    def on(self, node: str) -> Transport:
        return self.transport

    def reopen(self, node: str) -> Transport:
        return self.transport

    def leave(self, node: str) -> None:
        raise AssertionError("nothing is left")

    def progress(self, done: int, total: int) -> None:
        raise AssertionError("nothing is transferred")

    def say(self, text: str) -> None:
        assert text

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        assert condition(), what

    def limit(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()
