"""What an action may use while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import ActionProgress, ActionSays, Observer
from bootstrap.engine.patience import until
from bootstrap.errors import ClusterupError, Interrupted
from bootstrap.transport.base import Transport

# A live line that changes more often than this is only harder to read.
PROGRESS_EVERY_SECONDS = 0.2


@dataclass
class RunContext:
    """The context of one action of a run; see `bootstrap.engine.action.Context`."""

    action: Action[Any]
    connections: Connections
    observe: Observer
    slots: Mapping[str, threading.Semaphore]
    abort: threading.Event
    _shown: float = field(default=0.0, init=False)

    def on(self, node: str) -> Transport:
        return self.connections.on(node)

    def reopen(self, node: str) -> Transport:
        return self.connections.reopen(node)

    def leave(self, node: str) -> None:
        self.connections.drop(node)

    def progress(self, done: int, total: int) -> None:
        if self.abort.is_set():
            raise self.interrupted("a transfer")
        now = time.monotonic()
        if done < total and now - self._shown < PROGRESS_EVERY_SECONDS:
            return
        self._shown = now
        self.observe(ActionProgress(**self._who(), done=done, total=total))

    def say(self, text: str) -> None:
        self.observe(ActionSays(**self._who(), text=text))

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        def pause(seconds: float) -> None:
            if self.abort.wait(seconds):
                raise self.interrupted(what)

        self.say(f"waiting for {what}")
        try:
            until(lambda: condition() or None, what=what, seconds=timeout, every=every, pause=pause)
        except ClusterupError as error:
            error.node, error.step = error.node or self.action.node, error.step or self.action.step
            error.tried = error.tried or self.action.title
            raise

    @contextmanager
    def limit(self, name: str) -> Iterator[None]:
        with self.slots[name]:
            yield

    def _who(self) -> dict[str, Any]:
        return {
            "id": self.action.id,
            "node": self.action.node,
            "step": self.action.step,
            "title": self.action.title,
        }

    def interrupted(self, what: str = "") -> Interrupted:
        """What is said of an action that was stopped before its end, while it waited for `what`."""
        return Interrupted(
            f"stopped while waiting for {what}" if what else "stopped before its end",
            node=self.action.node,
            step=self.action.step,
            tried=self.action.title,
            hint="run the command again: it goes on from what is true by then",
        )
