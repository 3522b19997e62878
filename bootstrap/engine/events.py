"""What happens during a run, told to whoever shows it or writes it down. `time` is seconds since the epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from bootstrap.errors import BadUse, ClusterupError, Interrupted, PartlyDone, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened."""

    time: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run began to do its plan.

    `command` is what the person typed, without secrets, `operator` is user@host, `version` clusterup's. `actions` are
    the `planned` ones as in `plan_as_data`; `unreachable` says why, of each node that could not be reached before.
    """

    run: str
    command: str
    operator: str
    version: str
    planned: int
    actions: tuple[Mapping[str, Any], ...]
    unreachable: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBegun(Event):
    """A plan begins to be done: how many actions each node has in it, and "cluster" those that belong to none."""

    planned: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """A run ended with `exit_code` after `seconds`; `done`, `failed` and `skipped` count its actions."""

    run: str
    exit_code: int
    seconds: float
    done: int
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsRead(Event):
    """A node answered (`error` is None) or could not be reached."""

    node: str
    error: ClusterupError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSays(Event):
    """What is being done to get into a node, or came of it."""

    node: str
    text: str


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


def unobserved(_: Event) -> None:
    """An observer that looks away."""


KINDS: Mapping[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        RunStarted,
        PlanBegun,
        RunEnded,
        FactsRead,
        NodeSays,
        ActionStarted,
        ActionProgress,
        ActionSays,
        ActionDone,
        ActionFailed,
        ActionSkipped,
        CommandRan,
    )
}


def event_as_data(event: Event) -> dict[str, Any]:
    """The event as plain data for JSON: `event` is its kind, an error is its text, with its parts in `failure`."""
    data: dict[str, Any] = {"event": type(event).__name__}
    for name in type(event).__dataclass_fields__:
        value = getattr(event, name)
        data[name] = str(value) if isinstance(value, Exception) else value
        if isinstance(value, ClusterupError):
            data["failure"] = {part: getattr(value, part) for part in _PARTS}
    return data


def event_from_data(data: Mapping[str, Any]) -> Event | None:
    """The event that was written as `data`; None for a kind or a shape that this version does not know."""
    kind = KINDS.get(str(data.get("event")))
    if kind is None:
        return None
    try:
        values = {
            part.name: _READERS[str(part.type)](data[part.name], data)
            for part in fields(kind)
            if part.name in data or part.default is MISSING
        }
    except (KeyError, TypeError, ValueError):
        return None
    return kind(**values)


_PARTS = ("problem", "hint", "node", "step", "tried", "got", "exit_code")
_ERRORS: Mapping[int, type[ClusterupError]] = {
    error.exit_code: error for error in (ClusterupError, BadUse, PartlyDone, Refused, Interrupted)
}

_Reader = Callable[[Any, Mapping[str, Any]], Any]


def _one_of(*kinds: type) -> _Reader:
    def read(value: Any, _: Mapping[str, Any]) -> Any:
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError(f"{value!r} is no {kinds}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value} is not a number")
        return value

    return read


def _error(value: Any, data: Mapping[str, Any]) -> ClusterupError | None:
    if value is None:
        return None
    parts = dict(data["failure"])
    kind = _ERRORS.get(parts.pop("exit_code"), ClusterupError)
    return kind(str(parts.pop("problem")), **{name: parts[name] for name in _PARTS if name in parts})


def _actions(value: Any, _: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    actions = tuple(dict(item) for item in value)
    for action in actions:
        if not isinstance(action.get("after", []), list):
            raise TypeError(f"{action['after']!r} is not a list of actions")
    return actions


def _texts(value: Any, _: Mapping[str, Any]) -> Mapping[str, str]:
    return {str(name): str(text) for name, text in dict(value).items()}


def _counts(value: Any, _: Mapping[str, Any]) -> Mapping[str, int]:
    return {str(name): int(count) for name, count in dict(value).items()}


# By what stands behind a field's name above.
_READERS: Mapping[str, _Reader] = {
    "float": _one_of(int, float),
    "int": _one_of(int),
    "str": _one_of(str),
    "str | None": _one_of(str, type(None)),
    "ClusterupError": _error,
    "ClusterupError | None": _error,
    "tuple[Mapping[str, Any], ...]": _actions,
    "Mapping[str, str]": _texts,
    "Mapping[str, int]": _counts,
}
