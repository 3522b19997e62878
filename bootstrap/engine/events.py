"""What happens during a run, told to whoever shows it or writes it down. `time` is seconds since the epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bootstrap.errors import ClusterupError


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened."""

    time: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsRead(Event):
    """A node answered (`error` is None) or could not be reached."""

    node: str
    error: ClusterupError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionEvent(Event):
    """Something that happened to an action; `node` is None for the cluster."""

    id: str
    node: str | None
    step: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStarted(ActionEvent):
    """An action began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionProgress(ActionEvent):
    """Bytes of a transfer, done and in all."""

    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSays(ActionEvent):
    """What an action is doing or waiting for now."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDone(ActionEvent):
    """An action ended well after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFailed(ActionEvent):
    """An action failed after `seconds`."""

    seconds: float
    error: ClusterupError


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSkipped(ActionEvent):
    """An action was not begun: `because` names the action that failed before it, or says "interrupted"."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRan(Event):
    """A command ran on a node and ended with `status` after `seconds`."""

    node: str
    name: str
    status: int
    seconds: float


Observer = Callable[[Event], None]


def nobody(_: Event) -> None:
    """An observer that looks away."""


def event_as_data(event: Event) -> dict[str, Any]:
    """The event as plain data for JSON: `event` is its kind, an error is its text."""
    data: dict[str, Any] = {"event": type(event).__name__}
    for name in type(event).__dataclass_fields__:
        value = getattr(event, name)
        data[name] = str(value) if isinstance(value, Exception) else value
    return data
