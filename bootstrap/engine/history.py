"""Reading the journal: which runs there were, and what happened in each.

Lines that were cut (the power went while they were written) and lines that this version does not understand are passed
over: the rest is still worth reading.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from bootstrap.engine.events import Event, RunEnded, RunStarted, event_from_data
from bootstrap.engine.journal import being_written, rotated
from bootstrap.errors import BadUse, ClusterupError
from bootstrap.outside import parsed_json

LAST = "last"
# What belongs to no node.
CLUSTER = "cluster"
# The first second of the year 10000: no clock says so, and no calendar here goes further.
TIMES_END = 253_402_300_800


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A line of the journal: the run that it is of, and the event as it was written."""

    run: str
    time: float
    data: dict[str, Any]

    @property
    def node(self) -> str | None:
        """The node that the event is about, "cluster" for what belongs to none; None for a run's own events."""
        return str(self.data["node"] or CLUSTER) if "node" in self.data else None

    @property
    def event(self) -> Event | None:
        """The event; None for one that this version does not know."""
        return event_from_data(self.data)


class RunOutcome(StrEnum):
    """What became of a run."""

    DONE = "done"
    FAILED = "failed"
    PARTLY = "partly done"
    INTERRUPTED = "interrupted"
    UNDER_WAY = "under way"
    SILENT = "ended without a word (killed, or the machine went off)"


_OUTCOMES = {0: RunOutcome.DONE, 3: RunOutcome.PARTLY, 130: RunOutcome.INTERRUPTED}


@dataclass(frozen=True, slots=True)
class Run:
    """A run as a whole. `began` and `last` are the times of its first and last line, in seconds since the epoch; while
    it is under way `last` is now.

    `started` and `ended` are None where those lines are missing; `started` goes without its actions here.
    """

    id: str
    began: float
    last: float
    started: RunStarted | None
    ended: RunEnded | None
    under_way: bool

    @property
    def seconds(self) -> float:
        """How long it took, or as far as is known."""
        return self.ended.seconds if self.ended else max(0.0, self.last - self.began)

    @property
    def outcome(self) -> RunOutcome:
        if self.ended:
            return _OUTCOMES.get(self.ended.exit_code, RunOutcome.FAILED)
        return RunOutcome.UNDER_WAY if self.under_way else RunOutcome.SILENT


def entries(path: Path) -> Iterator[JournalEntry]:
    """All lines of the journal at `path`, and of the one that was put aside before it, in the order of writing. Raises
    ClusterupError for a journal that is there and can't be read."""
    for file in (rotated(path), path):
        try:
            with file.open("rb") as lines:
                yield from (entry for line in lines if (entry := parsed(line)) is not None)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ClusterupError(
                "the journal can't be read",
                step="journal",
                tried=f"read {file}",
                got=error.strerror,
                hint="it belongs to whoever applies: read it as that user",
            ) from None


def parsed(line: bytes) -> JournalEntry | None:
    """The line, or None when it is not whole, or not of a run (as the lines of old versions)."""
    try:
        data = parsed_json(line)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    run, at = data.get("run"), data.get("time")
    # NaN is in no interval.
    if not isinstance(run, str) or not isinstance(at, int | float) or not 0 <= at < TIMES_END:
        return None
    return JournalEntry(run, at, data)


def read_runs(path: Path) -> tuple[Run, ...]:
    """All runs in the journal at `path`, the oldest first."""
    # Looked at first: a run that ends meanwhile is read with its end.
    writing = being_written(path)
    found: dict[str, Run] = {}
    for entry in entries(path):
        run = found.get(entry.run) or Run(entry.run, entry.time, entry.time, None, None, under_way=False)
        run = replace(run, last=max(run.last, entry.time))
        if entry.data.get("event") in (RunStarted.__name__, RunEnded.__name__):
            match entry.event:
                case RunStarted() as started:
                    run = replace(run, started=replace(started, actions=()))
                case RunEnded() as ended:
                    run = replace(run, ended=ended)
        found[entry.run] = run
    runs = list(found.values())
    if runs and writing and runs[-1].ended is None:
        runs[-1] = replace(runs[-1], under_way=True, last=max(runs[-1].last, time.time()))
    return tuple(runs)


def find_run(path: Path, wanted: str) -> Run:
    """The run of that id, or the last one for "last". Raises BadUse where there is none."""
    runs = read_runs(path)
    if not runs:
        raise BadUse(
            "there is no journal yet: nothing was applied from this machine",
            step="journal",
            tried=f"read {path}",
            got="no run",
            hint="`clusterup apply INVENTORY` writes it while it changes something; a cluster that another machine "
            "applied has its journal there",
        )
    chosen = [run for run in runs if wanted in (LAST, run.id)]
    if not chosen:
        raise BadUse(
            f"no run is called {wanted}",
            step="journal",
            tried=f"look for it in {path}",
            got="runs: " + ", ".join(run.id for run in runs[-10:]),
            hint="`clusterup events --runs` lists them; `--run last` is the newest",
        )
    return chosen[-1]


def entries_of(path: Path, run: str) -> Iterator[JournalEntry]:
    """What happened in that run so far."""
    return (entry for entry in entries(path) if entry.run == run)


def require_node(path: Path, run: Run, node: str) -> None:
    """Raise BadUse, which names the run's nodes, where `node` is none of them."""
    nodes: dict[str, None] = {}
    for entry in entries_of(path, run.id):
        event = entry.event
        if isinstance(event, RunStarted):
            nodes.update(dict.fromkeys(str(item.get("node") or CLUSTER) for item in event.actions))
            nodes.update(dict.fromkeys(event.unreachable))
        elif entry.node is not None:
            nodes[entry.node] = None
    if node not in nodes:
        raise BadUse(
            f"the run {run.id} did nothing on {node}",
            step="journal",
            tried=f"look for it in {path}",
            got=f"nodes: {', '.join(nodes)}",
            hint="name one of these",
        )


def follow_run(path: Path, run: str, pause: Callable[[], object]) -> Iterator[JournalEntry]:
    """What happened in that run, and what goes on happening until it ends. `pause` is called when there is nothing
    new."""
    begun = False
    for line in _growing(path, pause):
        entry = parsed(line)
        if entry is not None and entry.run == run:
            begun = True
            yield entry
            if entry.data.get("event") == RunEnded.__name__:
                return
        elif entry is not None and begun:
            # Runs write one after the other.
            return


def _growing(path: Path, pause: Callable[[], object]) -> Iterator[bytes]:
    """The lines of the file, as long as somebody writes to it."""
    with path.open("rb") as lines:
        line = b""
        while True:
            # Looked at first: what a writer wrote before it ended is read below.
            alive = being_written(path)
            while chunk := lines.readline():
                line += chunk
                if line.endswith(b"\n"):
                    yield line
                    line = b""
            if not alive:
                return
            pause()
