"""A run on a terminal: one live line a node, with step, progress, rate and time; failures stay above."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

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
)
from bootstrap.ui.plain import Detail
from bootstrap.ui.terminal import text, written_above
from bootstrap.ui.transfers import TransferRate

BAR = 16


@dataclass
class _Line:
    """What a node's line shows: what it does now, and how it stands."""

    running: dict[str, str] = field(default_factory=dict)
    says: str = ""
    step: str = ""
    done: int = 0
    total: int = 0
    since: float = 0.0
    pace: TransferRate = field(default_factory=TransferRate)
    mark: str = " "


class LiveObserver:
    """Shows events on `console`. A context manager; safe between threads."""

    def __init__(self, console: Console, nodes: Iterable[str], detail: Detail = Detail.STEPS) -> None:
        self._console = console
        self._detail = detail
        self._lines = {name: _Line() for name in (*nodes, "cluster")}
        self._lock = threading.Lock()
        self._live = Live(
            console=console,
            get_renderable=self._table,
            refresh_per_second=5,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._above = written_above(console)

    def __enter__(self) -> LiveObserver:
        self._live.start()
        self._above.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._above.__exit__(kind, value, trace)
        self._live.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, ActionEvent):
                self._shown(self._lines.setdefault(event.node or "cluster", _Line()), event)
            elif isinstance(event, NodeSays):
                self._lines.setdefault(event.node, _Line()).says = event.text
            elif isinstance(event, FactsRead) and event.node in self._lines:
                self._lines[event.node].says = "" if event.error is None else "not reached"
        if isinstance(event, ActionFailed):
            # Safe by itself, and in lines.
            self._console.print(Text(str(event.error), style="red"))
        if isinstance(event, CommandRan) and self._detail >= Detail.COMMANDS:
            ran = f"{event.node}: ran '{event.name}': status {event.status}, {event.seconds:.2f} s"
            self._console.print(text(ran, "dim"))

    def _shown(self, line: _Line, event: ActionEvent) -> None:
        match event:
            case ActionStarted():
                line.running[event.id] = f"{event.step}: {event.title}"
                line.says, line.total, line.since = "", 0, event.time
                line.mark = ">"
            case ActionSays():
                line.says = event.text
            case ActionProgress():
                if not line.total:
                    line.pace = TransferRate()
                line.pace.add(event.time, event.done)
                line.step, line.done, line.total = event.step, event.done, event.total
            case ActionDone():
                line.running.pop(event.id, None)
                line.says, line.total = "", 0
                line.mark = ">" if line.running else "✓"
            case ActionFailed():
                line.running.pop(event.id, None)
                line.says, line.total, line.mark = event.error.problem, 0, "✗"
            case ActionSkipped():
                line.mark = "✗" if line.mark == "✗" else "-"

    def _table(self) -> Table:
        # Only what a node does may be cut: names and times have to be read whole.
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, width=1)
        table.add_column(no_wrap=True, width=max(map(len, self._lines), default=0))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right", width=6)
        now = time.time()
        with self._lock:
            for name, line in self._lines.items():
                if name == "cluster" and not line.since:
                    continue
                elapsed = f"{now - line.since:.0f} s" if line.running else ""
                table.add_row(line.mark, text(name, "bold"), text(_doing(line, now)), elapsed)
        return table


def _doing(line: _Line, now: float) -> str:
    if line.total:
        full = BAR * line.done // line.total
        bar = "#" * full + "." * (BAR - full)
        pace = line.pace.words(now, line.total)
        return f"{line.step} [{bar}] {line.done / 1e6:.0f}/{line.total / 1e6:.0f} MB {pace}"
    words = [next(iter(line.running.values()), ""), line.says]
    return " - ".join(word for word in words if word)
