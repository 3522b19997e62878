"""A run on a terminal: one live line a node, with step, progress, rate and time, and one for the whole."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bootstrap.engine.events import (
    ActionDone,
    ActionEvent,
    ActionFailed,
    ActionProgress,
    ActionSays,
    ActionSkipped,
    ActionStarted,
    CommandRan,
    Event,
    FactsRead,
    NodeSays,
    PlanBegun,
)
from bootstrap.questions import drawing
from bootstrap.ui.plain import Detail
from bootstrap.ui.terminal import text, written_above
from bootstrap.ui.transfers import TransferRate

BAR = 16
# On a terminal that has fewer columns, a transfer has neither a bar nor megabytes.
WIDE = 80
# Rows that are left to the line for the whole, to what is not shown, and to the cursor.
SPARE_ROWS = 3
FEWEST_ROWS = 3
CLUSTER = "cluster"
MOST_OF_A_NAME = 12
# Less than so many bytes is told in kilobytes.
MEGABYTES = 10_000_000
WAITS, RUNS, DONE, FAILED, SKIPPED = "…", ">", "✓", "✗", "-"


@dataclass
class _Transfer:
    """What of one transfer has been done, in bytes."""

    step: str
    done: int = 0
    total: int = 0
    pace: TransferRate = field(default_factory=TransferRate)


@dataclass
class _Line:
    """What a node's line shows: what it does now, and how it stands. `left` counts its actions that have not ended;
    None where no plan was told."""

    running: dict[str, str] = field(default_factory=dict)
    transfers: dict[str, _Transfer] = field(default_factory=dict)
    says: str = ""
    since: float = 0.0
    mark: str = " "
    left: int | None = None
    skipped: bool = False

    @property
    def rank(self) -> int:
        """Which lines are shown where there is no room for all: those that say something first."""
        return [FAILED, RUNS, SKIPPED, WAITS, " ", DONE].index(self.mark)


class LiveObserver:
    """Shows events on `console`. A context manager; safe between threads."""

    def __init__(self, console: Console, nodes: Iterable[str], detail: Detail = Detail.STEPS) -> None:
        self._console = console
        self._detail = detail
        self._lines = {name: _Line() for name in (*nodes, CLUSTER)}
        self._planned, self._done, self._failed, self._began = 0, 0, 0, 0.0
        self._lock = threading.Lock()
        self._live = self._new_view()
        self._shows = ExitStack()
        self._plain = sys.stdout, sys.stderr

    def __enter__(self) -> LiveObserver:
        self._shows.enter_context(self._drawn())
        self._shows.enter_context(drawing(self._pauses))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shows.__exit__(kind, value, trace)

    def _new_view(self) -> Live:
        return Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=5,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @contextmanager
    def _drawn(self) -> Iterator[None]:
        self._live.start()
        try:
            with written_above(self._console):
                yield
        finally:
            self._live.stop()

    @contextmanager
    def _pauses(self) -> Iterator[None]:
        """The view is off the terminal, and what is written goes straight there, as a question does."""
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self._plain
        self._live.transient = True
        self._live.stop()
        try:
            yield
        finally:
            # One that was stopped would begin by wiping as many lines as it had, the question among them.
            self._live = self._new_view()
            self._live.start()
            sys.stdout, sys.stderr = before

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, PlanBegun):
                self._begun(event.planned, event.time)
            elif isinstance(event, ActionEvent):
                self._shown(self._lines.setdefault(event.node or CLUSTER, _Line()), event)
            elif isinstance(event, NodeSays):
                self._lines.setdefault(event.node, _Line()).says = event.text
            elif isinstance(event, FactsRead) and event.node in self._lines:
                self._lines[event.node].says = "" if event.error is None else "not reached"
        if isinstance(event, ActionFailed):
            # On the stream of all failures, and above the view where both are the terminal.
            sys.stderr.write(f"{event.error}\n")
        if isinstance(event, CommandRan) and self._detail >= Detail.COMMANDS:
            ran = f"{event.node}: ran '{event.name}': status {event.status}, {event.seconds:.2f} s"
            self._console.print(text(ran, "dim"))

    def _begun(self, planned: Mapping[str, int], when: float) -> None:
        self._planned, self._done, self._failed, self._began = sum(planned.values()), 0, 0, when
        for name in planned:
            self._lines.setdefault(name, _Line())
        for name, line in self._lines.items():
            line.left = planned.get(name, 0)
            line.mark = WAITS if line.left else " "

    def _shown(self, line: _Line, event: ActionEvent) -> None:
        match event:
            case ActionStarted():
                line.running[event.id] = f"{event.step}: {event.title}"
                line.says, line.since = "", event.time
                line.mark = FAILED if line.mark == FAILED else RUNS
            case ActionSays():
                line.says = event.text
            case ActionProgress():
                transfer = line.transfers.setdefault(event.id, _Transfer(event.step))
                transfer.pace.add(event.time, event.done)
                transfer.done, transfer.total = event.done, event.total
            case ActionDone():
                self._done += 1
                self._ended(line, event)
            case ActionFailed():
                self._failed += 1
                self._ended(line, event)
                line.says, line.mark = event.error.problem, FAILED
            case ActionSkipped():
                self._ended(line, event)
                line.skipped = True
                line.mark = FAILED if line.mark == FAILED else SKIPPED

    def _ended(self, line: _Line, event: ActionEvent) -> None:
        line.running.pop(event.id, None)
        line.transfers.pop(event.id, None)
        if line.left is not None:
            line.left -= 1
        if line.mark != FAILED:
            line.says = ""
            line.mark = RUNS if line.running else SKIPPED if line.skipped else WAITS if line.left else DONE

    def _table(self) -> Table:
        # Only what a node does may be cut: names and times have to be read whole.
        now, width = time.time(), self._console.width
        with self._lock:
            shown, others = self._that_fit()
            rows = [self._row(name, now, width) for name in shown]
            if others:
                rows.append(("", "", _others(others), ""))
            if self._planned:
                rows.append(("", "", self._whole(), f"{now - self._began:.0f} s"))
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, width=1)
        widest = max(map(len, shown), default=0)
        table.add_column(no_wrap=True, overflow="ellipsis", width=min(widest, max(MOST_OF_A_NAME, width // 3)))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right", width=6)
        for mark, name, doing, elapsed in rows:
            table.add_row(mark, text(name, "bold"), text(doing), elapsed)
        return table

    def _row(self, name: str, now: float, width: int) -> tuple[str, str, str, str]:
        line = self._lines[name]
        return line.mark, name, _doing(line, now, width), f"{now - line.since:.0f} s" if line.running else ""

    def _that_fit(self) -> tuple[list[str], list[_Line]]:
        """The names of the lines that there are rows for, in their order, and the other lines."""
        every = [name for name, line in self._lines.items() if name != CLUSTER or line.since or line.left]
        rows = max(FEWEST_ROWS, self._console.height - SPARE_ROWS)
        first = set(sorted(every, key=lambda name: self._lines[name].rank)[:rows])
        return [name for name in every if name in first], [self._lines[name] for name in every if name not in first]

    def _whole(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done} of {self._planned} actions{failed}"


def _others(lines: Iterable[_Line]) -> str:
    words = {FAILED: "failed", RUNS: "at work", SKIPPED: "not begun", WAITS: "waiting", " ": "idle", DONE: "done"}
    counts = dict.fromkeys(words.values(), 0)
    for line in lines:
        counts[words[line.mark]] += 1
    return f"and {sum(counts.values())} more: " + ", ".join(
        f"{count} {word}" for word, count in counts.items() if count
    )


def _doing(line: _Line, now: float, width: int) -> str:
    transfer = next((each for each in line.transfers.values() if each.total), None)
    if transfer is not None:
        pace = transfer.pace.words(now, transfer.total)
        if width < WIDE:
            return f"{transfer.step} {100 * transfer.done // transfer.total} % {pace}".rstrip()
        full = BAR * transfer.done // transfer.total
        bar = "#" * full + "." * (BAR - full)
        unit, size = ("MB", 1e6) if transfer.total >= MEGABYTES else ("kB", 1e3)
        return f"{transfer.step} [{bar}] {transfer.done / size:.0f}/{transfer.total / size:.0f} {unit} {pace}".rstrip()
    words = [next(iter(line.running.values()), ""), line.says]
    if not any(words) and line.mark == WAITS:
        return "waits for others"
    return " - ".join(word for word in words if word)
