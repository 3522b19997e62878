"""What the journal says, as lines that a person reads."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bootstrap.engine.events import ActionFailed, Event, RunEnded, RunStarted
from bootstrap.engine.history import JournalEntry, Run
from bootstrap.outside import in_lines, on_one_line
from bootstrap.ui.plain import Detail, PlainObserver
from bootstrap.ui.times import duration_in_words, local_time


class HistoryObserver:
    """Writes a run as `apply` showed it, failures in full, with the seconds since it began."""

    def __init__(self, write: Callable[[str], object], detail: Detail, *, start: float) -> None:
        self._write = write
        self._plain = PlainObserver(write, detail, start=start)

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._write("".join(f"{line}\n" for line in _beginning(event)))
            case RunEnded():
                self._write(
                    f"ended after {duration_in_words(event.seconds)}: {counts(event)} (exit code {event.exit_code})\n"
                )
            case _:
                self._plain(event)
        if isinstance(event, ActionFailed):
            self._write(textwrap.indent(str(event.error), "  ") + "\n")


def counts(ended: RunEnded) -> str:
    """How the actions of a run ended: "30 done, 1 failed, 1 not begun"."""
    return f"{ended.done} done, {ended.failed} failed, {ended.skipped} not begun"


def run_lines(runs: Sequence[Run]) -> Iterator[str]:
    """A line a run, the newest last: when, how long, what became of it, and what was typed."""
    yield f"{'RUN':<8}  {'BEGAN':<25}  {'TOOK':>11}  {'OUTCOME':<11}  COMMAND"
    for run in runs:
        said = run.outcome.value
        command = run.started.command if run.started else "(its first line is missing)"
        line = f"{run.id:<8}  {local_time(run.began)}  {duration_in_words(run.seconds):>11}  {said:<11}  {command}"
        yield on_one_line(line)


def run_as_data(run: Run) -> dict[str, Any]:
    """A run for machines; what is not known is null."""
    started, ended = run.started, run.ended
    return {
        "run": run.id,
        "began": run.began,
        "seconds": run.seconds,
        "outcome": run.outcome.name.lower(),
        "command": started.command if started else None,
        "operator": started.operator if started else None,
        "version": started.version if started else None,
        "planned": started.planned if started else None,
        "exit_code": ended.exit_code if ended else None,
        "done": ended.done if ended else None,
        "failed": ended.failed if ended else None,
        "skipped": ended.skipped if ended else None,
    }


def of_node(entry: JournalEntry, node: str | None) -> bool:
    """Whether it happened on that node ("cluster" for what belongs to none), or bounds the run. None is every node."""
    return node is None or node == entry.node or entry.data.get("event") in (RunStarted.__name__, RunEnded.__name__)


def _beginning(event: RunStarted) -> Iterable[str]:
    nodes = {item.get("node") for item in event.actions}
    yield on_one_line(f"run {event.run}: {event.command}")
    yield on_one_line(f"  by {event.operator}, {local_time(event.time)}, clusterup {event.version}")
    yield f"  {event.planned} actions on {len(nodes)} machines"
    for error in event.unreachable.values():
        yield textwrap.indent(in_lines(error), "  ")
