"""Runs as apply would have written them down, with times that a test chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootstrap.engine.events import ActionDone, ActionFailed, ActionSkipped, ActionStarted, Event, RunEnded, RunStarted
from bootstrap.engine.journal import Journal
from bootstrap.errors import ClusterupError

BEGAN = 1_700_000_000.0


def planned(name: str, *after: str, title: str = "", why: str = "it is bare", by: str = "") -> dict[str, Any]:
    """A planned action as the journal has it; "s1/boot" is the step boot of the node s1, "cluster/x" of no node."""
    node, _, step = name.partition("/")
    return {
        "id": name,
        "node": None if node == "cluster" else node,
        "step": step,
        "title": title or f"do {step}",
        "why": why,
        "wanted_by": by,
        "after": list(after),
    }


def started(actions: Sequence[dict[str, Any]], run: str = "r1", **changes: Any) -> RunStarted:
    """The beginning of a run, at BEGAN unless told otherwise."""
    given: dict[str, Any] = {
        "time": BEGAN,
        "command": "clusterup apply lab.yaml",
        "operator": "ada@workbench",
        "version": "0.1.0",
        "planned": len(actions),
        "unreachable": {},
    }
    return RunStarted(run=run, actions=tuple(actions), **{**given, **changes})


def ended(at: float, run: str = "r1", exit_code: int = 0, *, done: int = 0, failed: int = 0) -> RunEnded:
    """The end of a run, `at` seconds after BEGAN."""
    return RunEnded(time=BEGAN + at, run=run, exit_code=exit_code, seconds=at, done=done, failed=failed, skipped=0)


def began(action: dict[str, Any], at: float) -> ActionStarted:
    return ActionStarted(time=BEGAN + at, **_who(action))


def done(action: dict[str, Any], start: float, end: float) -> tuple[Event, Event]:
    """The action ran well from `start` to `end` (seconds after BEGAN)."""
    return began(action, start), ActionDone(time=BEGAN + end, **_who(action), seconds=end - start)


def failed(action: dict[str, Any], start: float, end: float, error: ClusterupError) -> tuple[Event, Event]:
    return began(action, start), ActionFailed(time=BEGAN + end, **_who(action), seconds=end - start, error=error)


def skipped(action: dict[str, Any], at: float, because: str) -> ActionSkipped:
    return ActionSkipped(time=BEGAN + at, **_who(action), because=because)


@contextmanager
def writing(path: Path, *events: Event, run: str = "r1") -> Iterator[Journal]:
    """A run that has written these events and goes on."""
    journal = Journal(path, run)
    for event in events:
        journal(event)
    try:
        yield journal
    finally:
        journal.close()


def write(path: Path, *events: Event, run: str = "r1") -> None:
    """A run that has written these events and is no more."""
    with writing(path, *events, run=run):
        pass


def _who(action: dict[str, Any]) -> dict[str, Any]:
    return {name: action[name] for name in ("id", "node", "step", "title")}
