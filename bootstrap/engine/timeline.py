"""A run as a picture: which action ran when on which node, which chain of them determined the end.

Times are seconds since the run began.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import median

from bootstrap.engine.events import (
    ActionDone,
    ActionEvent,
    ActionFailed,
    ActionSkipped,
    ActionStarted,
    Event,
    RunStarted,
)
from bootstrap.engine.history import CLUSTER, Run
from bootstrap.errors import ClusterupError, Interrupted

# When two ways to measure a time differ by more, somebody has set the clock.
CLOCK_SET_SECONDS = 1.0


class Fate(StrEnum):
    """What became of an action."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "under way"
    UNFINISHED = "unfinished"
    NOT_BEGUN = "not begun"


@dataclass(frozen=True, slots=True)
class Bar:
    """An action: what it was to do and why, which line `wanted` it ("lab.yaml:7:5"; "" where that is not known), what
    it came `after`, when it ran.

    `lane` counts from 0 among those that ran on its node at the same time. `because` says why it was not begun.
    """

    id: str
    node: str
    step: str
    title: str
    why: str = ""
    wanted: str = ""
    after: tuple[str, ...] = ()
    fate: Fate = Fate.NOT_BEGUN
    began: float = 0.0
    ended: float = 0.0
    lane: int = 0
    error: ClusterupError | None = None
    because: str = ""

    @property
    def ran(self) -> bool:
        return self.fate is not Fate.NOT_BEGUN

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Row:
    """A node: the actions that ran, by beginning, in how many lanes, and those that were not begun."""

    node: str
    lanes: int
    bars: tuple[Bar, ...]
    not_begun: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A part of the chain that determined the end: an action, and the seconds that it `waited` after the one before it
    had ended (for its turn, or for a free place)."""

    bar: Bar
    waited: float


@dataclass(frozen=True, slots=True)
class StepTotal:
    """All actions of a step that ran: how many, how many failed, the time of all together, the time from the first
    beginning to the last end, the middle one of their times, and the longest."""

    step: str
    count: int
    failed: int
    total: float
    span: float
    median: float
    longest: Bar


@dataclass(frozen=True, slots=True)
class Timeline:
    """A whole run. `seconds` is where its time axis ends; `unreachable` says why, of each node that was not reached."""

    run: Run
    rows: tuple[Row, ...]
    seconds: float
    chain: tuple[Link, ...]
    steps: tuple[StepTotal, ...]
    unreachable: Mapping[str, str] = field(default_factory=dict)

    @property
    def bars(self) -> tuple[Bar, ...]:
        """All actions, node by node: first those that ran."""
        return tuple(bar for row in self.rows for bar in (*row.bars, *row.not_begun))

    def of(self, fate: Fate) -> tuple[Bar, ...]:
        return tuple(bar for bar in self.bars if bar.fate is fate)


def make_timeline(run: Run, events: Iterable[Event]) -> Timeline:
    """The picture of `run`, out of everything that happened in it."""
    bars: dict[str, Bar] = {}
    unreachable: Mapping[str, str] = {}
    for event in events:
        if isinstance(event, RunStarted):
            bars = {**_planned(event), **bars}
            unreachable = event.unreachable
        elif isinstance(event, ActionEvent):
            bars[event.id] = _after(bars.get(event.id) or _unplanned(event), event, run.began)
    end = max([run.seconds, *(bar.ended for bar in bars.values())])
    fate = Fate.RUNNING if run.under_way else Fate.UNFINISHED
    for name, bar in bars.items():
        if _open(bar):
            bars[name] = replace(bar, fate=fate, ended=max(bar.began, end))
    return Timeline(
        run, _rows(bars.values()), end, critical_path(list(bars.values())), _steps(bars.values()), unreachable
    )


def critical_path(bars: Sequence[Bar]) -> tuple[Link, ...]:
    """The chain that determined the end, from its beginning: the action that ended last, before it the one that ended
    last of those it came after, and so on."""
    by_id = {bar.id: bar for bar in bars if bar.ran}
    chain: list[Bar] = []
    last = max(by_id.values(), key=lambda bar: bar.ended, default=None)
    # In a damaged journal actions may come after themselves.
    while last is not None and last not in chain:
        chain.append(last)
        before = [by_id[name] for name in last.after if name in by_id]
        last = max(before, key=lambda bar: bar.ended, default=None)
    chain.reverse()
    ends = [0.0, *(bar.ended for bar in chain)]
    return tuple(Link(bar, max(0.0, bar.began - end)) for bar, end in zip(chain, ends, strict=False))


def in_lanes(bars: Iterable[Bar]) -> tuple[Bar, ...]:
    """The actions of one node by beginning, those that ran at the same time in different lanes, as few as possible."""
    placed: list[Bar] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for bar in sorted(bars, key=lambda bar: (bar.began, bar.ended)):
        while busy and busy[0][0] <= bar.began:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (bar.ended, lane))
        placed.append(replace(bar, lane=lane))
    return tuple(placed)


def _planned(started: RunStarted) -> dict[str, Bar]:
    return {
        str(item.get("id", "")): Bar(
            id=str(item.get("id", "")),
            node=str(item.get("node") or CLUSTER),
            step=str(item.get("step", "")),
            title=str(item.get("title", "")),
            why=str(item.get("why", "")),
            wanted=str(item.get("wanted_by", "")),
            after=tuple(str(name) for name in item.get("after", ())),
        )
        for item in started.actions
    }


def _unplanned(event: ActionEvent) -> Bar:
    """What is known of an action when the line with the plan is missing."""
    return Bar(id=event.id, node=event.node or CLUSTER, step=event.step, title=event.title)


def _after(bar: Bar, event: ActionEvent, start: float) -> Bar:
    """What is known of the action after `event`; the run began at `start`."""
    at = max(0.0, event.time - start)
    match event:
        case ActionStarted():
            return replace(bar, fate=Fate.UNFINISHED, began=at, ended=at)
        case ActionDone():
            return replace(_ended(bar, at, event.seconds), fate=Fate.DONE)
        case ActionFailed():
            fate = Fate.UNFINISHED if isinstance(event.error, Interrupted) else Fate.FAILED
            return replace(_ended(bar, at, event.seconds), fate=fate, error=event.error)
        case ActionSkipped():
            return replace(bar, because=event.because)
    return bar


def _ended(bar: Bar, at: float, seconds: float) -> Bar:
    """When it ran: from what the journal says of its beginning, where that line is there, to `at`. Where the clock was
    set in between, the `seconds` that were measured count."""
    began = bar.began if bar.ran else max(0.0, at - seconds)
    measured = abs(at - began - seconds) <= CLOCK_SET_SECONDS
    return replace(bar, began=began, ended=at if measured else began + max(0.0, seconds))


def _open(bar: Bar) -> bool:
    """Whether the journal has no word of the action's end."""
    return bar.fate is Fate.UNFINISHED and bar.error is None


def _rows(bars: Iterable[Bar]) -> tuple[Row, ...]:
    nodes: dict[str, list[Bar]] = {}
    for bar in bars:
        nodes.setdefault(bar.node, []).append(bar)
    if CLUSTER in nodes:
        nodes[CLUSTER] = nodes.pop(CLUSTER)
    rows = []
    for node, its in nodes.items():
        placed = in_lanes(bar for bar in its if bar.ran)
        lanes = 1 + max((bar.lane for bar in placed), default=0)
        rows.append(Row(node, lanes, placed, tuple(bar for bar in its if not bar.ran)))
    return tuple(rows)


def _steps(bars: Iterable[Bar]) -> tuple[StepTotal, ...]:
    """The steps in the order of their beginning."""
    steps: dict[str, list[Bar]] = {}
    for bar in sorted((bar for bar in bars if bar.ran), key=lambda bar: bar.began):
        steps.setdefault(bar.step, []).append(bar)
    return tuple(
        StepTotal(
            step,
            len(its),
            sum(bar.fate is Fate.FAILED for bar in its),
            sum(bar.seconds for bar in its),
            max(bar.ended for bar in its) - its[0].began,
            median(bar.seconds for bar in its),
            max(its, key=lambda bar: bar.seconds),
        )
        for step, its in steps.items()
    )
