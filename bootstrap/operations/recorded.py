"""A run of an operation, written down: the journal gets its beginning, what happens, and its end, however it ends."""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootstrap import __version__
from bootstrap.engine.events import (
    ActionDone,
    ActionFailed,
    ActionSkipped,
    Event,
    RunEnded,
    RunStarted,
)
from bootstrap.engine.journal import Journal, new_run_id
from bootstrap.engine.plan import Plan, plan_as_data
from bootstrap.errors import ClusterupError, Interrupted


class Recording:
    """What is written down of a run: each event that it is given, and at its end `exit_code`."""

    def __init__(self, path: Path) -> None:
        self.exit_code = 0
        self.run = new_run_id()
        self.journal = Journal(path, self.run)
        self._began = time.monotonic()
        self._counted: Counter[type[Event]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._counted[type(event)] += 1
        self.journal(event)

    def end(self, exit_code: int) -> None:
        """Write down how it ended."""
        done, failed, skipped = (self._counted[kind] for kind in (ActionDone, ActionFailed, ActionSkipped))
        seconds = time.monotonic() - self._began
        self.journal(
            RunEnded(run=self.run, exit_code=exit_code, seconds=seconds, done=done, failed=failed, skipped=skipped)
        )


@contextmanager
def recorded(
    path: Path,
    command: str,
    plan: Plan[Any],
    unreachable: Mapping[str, ClusterupError],
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Recording]:
    """Open the journal at `path` for a run that does `plan`; yields who writes down what happens.

    The way out of the block is how the run ended: the `exit_code` of what was raised, or else that of the recording. A
    run that is killed has no end. A journal that can't be
    written keeps nothing from being done: `say` is told of it.
    """
    recording = Recording(path)
    try:
        recording(_beginning(recording.run, command, plan, unreachable))
        yield recording
    except BaseException as error:
        recording.end(_exit_code(error))
        raise
    else:
        recording.end(recording.exit_code)
    finally:
        journal = recording.journal
        journal.close()
        if journal.trouble:
            say(f"{path} is not complete: {journal.trouble}\n  next: make room there")


def operator() -> str:
    """Who is at work: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _beginning(run: str, command: str, plan: Plan[Any], unreachable: Mapping[str, ClusterupError]) -> RunStarted:
    actions = tuple(plan_as_data(plan))
    return RunStarted(
        run=run,
        command=command,
        operator=operator(),
        version=__version__,
        planned=len(actions),
        actions=actions,
        unreachable={name: str(error) for name, error in unreachable.items()},
    )


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return Interrupted.exit_code
    # The command line ends with an exception of its own.
    code = getattr(error, "exit_code", None)
    return code if isinstance(code, int) else 1
