"""A run as plain lines: for logs, pipes and terminals that can't move their cursor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntEnum

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
from bootstrap.outside import on_one_line
from bootstrap.ui.transfers import TransferRate

PROGRESS_EVERY_SECONDS = 10.0


class Detail(IntEnum):
    """How much is shown."""

    STEPS = 0
    COMMANDS = 1


class PlainObserver:
    """Writes one line for each thing that happens, with the seconds since `start` (since the epoch; by default the time
    it was made). Safe between threads."""

    def __init__(
        self, write: Callable[[str], object], detail: Detail = Detail.STEPS, *, start: float | None = None
    ) -> None:
        self._write = write
        self._detail = detail
        self._start = time.time() if start is None else start
        self._progress: dict[str, float] = {}
        self._paces: dict[str, TransferRate] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            text = self._text(event)
            if text:
                self._write(f"[{event.time - self._start:7.1f}s] {on_one_line(text)}\n")

    def _text(self, event: Event) -> str | None:
        if isinstance(event, FactsRead):
            return f"{event.node}: " + ("answered" if event.error is None else "not reached")
        if isinstance(event, NodeSays):
            return f"{event.node}: {event.text}"
        if isinstance(event, CommandRan):
            text = f"{event.node}: ran '{event.name}': status {event.status}, {event.seconds:.2f} s"
            return text if self._detail >= Detail.COMMANDS else None
        if not isinstance(event, ActionEvent):
            return None
        said = self._said(event)
        return f"{event.node or 'cluster'}: {event.step}: {said}" if said else None

    def _said(self, event: ActionEvent) -> str | None:
        said: str | None = None
        match event:
            case ActionStarted():
                said = event.title
            case ActionSays():
                said = event.text
            case ActionProgress():
                said = self._progressed(event)
            case ActionDone():
                said = f"{event.title}: done in {event.seconds:.1f} s"
            case ActionFailed():
                said = f"{event.title}: FAILED after {event.seconds:.1f} s"
            case ActionSkipped():
                said = f"{event.title}: not begun ({event.because})"
        return said

    def _progressed(self, event: ActionProgress) -> str | None:
        pace = self._paces.setdefault(event.id, TransferRate())
        pace.add(event.time, event.done)
        if event.done < event.total and event.time - self._progress.get(event.id, 0.0) < PROGRESS_EVERY_SECONDS:
            return None
        self._progress[event.id] = event.time
        share = 100 * event.done // max(1, event.total)
        words = pace.words(event.time, event.total)
        return f"{event.done / 1e6:.1f} of {event.total / 1e6:.1f} MB ({share} %)" + (f", {words}" if words else "")
