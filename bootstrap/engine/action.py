"""The one object that serves plan, dry run, apply, resume and progress.

A step offers *all* actions of its capability; the planner asks each one's `check` with the facts and keeps
those that have a reason to be done. The engine knows nothing of Kubernetes: facts are a type parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from bootstrap.engine.changes import NO_CHANGES, Changes
from bootstrap.transport.base import Transport

Facts = TypeVar("Facts")


class Context(Protocol):
    """What an action may use while it runs."""

    def on(self, node: str) -> Transport:
        """The way into a node, opened (again) if need be. Raises TransportError."""
        ...

    def reopen(self, node: str) -> Transport:
        """A new way into a node that was rebooted or reinstalled; the old one is closed first."""
        ...

    def leave(self, node: str) -> None:
        """Close the way into a node, so that another one can be taken."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Bytes done and in all, of a transfer that this action makes."""
        ...

    def say(self, text: str) -> None:
        """What the action is waiting for or doing now, for the live line (a few words)."""
        ...

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        """Poll `condition` every `every` seconds. Raises ClusterupError naming `what` after `timeout` seconds; the last
        error that the condition raised is shown then, a final one is raised at once."""
        ...

    def limit(self, name: str) -> AbstractContextManager[None]:
        """Hold one of the named slots (e.g. "transfer"), so that heavy work is bounded."""
        ...


def nothing_to_verify(_: Context) -> None:
    """For actions whose `apply` ends only when its effect was seen."""


def nothing_changed(_: object) -> Changes:
    """For actions that write no file of a node and restart nothing."""
    return NO_CHANGES


@dataclass(frozen=True)
class Action(Generic[Facts]):
    """One thing that may have to be done.

    `id` is unique ("s1/install.image"); `node` is the inventory's name or None for the cluster; `step` the
    capability ("install"); `title` one line in the imperative for the plan. `needs` are ids of actions that
    must be done before, where they are planned at all. `check` returns why it has to be done, or None when
    it is already true. Actions with the same `exclusive` name never run at the same time. `wanted_by` is where a
    person wrote down what the action brings about ("lab.yaml:12").

    What it does to its node: `erases` is the disk that it erases, in words; `restarts` are the services that it may
    restart; `uses` are the names of the bundle's artifacts that it brings. `changes` returns what exactly it would
    change, by what was found.
    """

    id: str
    node: str | None
    step: str
    title: str
    check: Callable[[Facts], str | None]
    apply: Callable[[Context], None]
    verify: Callable[[Context], None] = nothing_to_verify
    needs: tuple[str, ...] = ()
    exclusive: str | None = None
    wanted_by: str = ""
    erases: str = ""
    restarts: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    changes: Callable[[Facts], Changes] = nothing_changed

    @property
    def name(self) -> str:
        """The id without the node, or without "cluster": as a list of one node's actions names it."""
        return self.id.removeprefix(f"{self.node or 'cluster'}/")
