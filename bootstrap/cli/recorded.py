"""A run of apply, written down: the journal gets its beginning, what happens, and its end, however it ends."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from bootstrap import __version__
from bootstrap.engine.events import (
    ActionDone,
    ActionFailed,
    ActionSkipped,
    Event,
    Observer,
    RunEnded,
    RunStarted,
)
from bootstrap.engine.journal import Journal, new_run_id
from bootstrap.engine.plan import Plan, plan_as_data
from bootstrap.errors import ClusterupError, Interrupted, PartlyDone

HIDDEN = "***"
_SECRET_OPTION = re.compile(r"--[a-z-]*(token|pass|secret|credential)[a-z-]*", re.IGNORECASE)
# A kubeadm bootstrap token, and the part of a URL that holds a password.
_SECRET_VALUE = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|(?<=://)[^/@\s]*:[^/@\s]*(?=@)")


@contextmanager
def recorded(path: Path, plan: Plan[Any], unreachable: Mapping[str, ClusterupError]) -> Iterator[Observer]:
    """Open the journal at `path` for a run that does `plan`; yields who writes down what happens.

    The way out of the block is how the run ended: an exit code, an error, or its end, which is "partly done" where
    nodes were `unreachable`. A run that is killed has no end.
    """
    run, began = new_run_id(), time.monotonic()
    journal = Journal(path, run)
    counted: Counter[type[Event]] = Counter()
    lock = threading.Lock()

    def observe(event: Event) -> None:
        with lock:
            counted[type(event)] += 1
        journal(event)

    def end(exit_code: int) -> None:
        done, failed, skipped = (counted[kind] for kind in (ActionDone, ActionFailed, ActionSkipped))
        seconds = time.monotonic() - began
        journal(RunEnded(run=run, exit_code=exit_code, seconds=seconds, done=done, failed=failed, skipped=skipped))

    try:
        journal(_beginning(run, plan, unreachable))
        yield observe
    except BaseException as error:
        end(_exit_code(error))
        raise
    else:
        end(PartlyDone.exit_code if unreachable else 0)
    finally:
        journal.close()
        if journal.trouble:
            sys.stderr.write(f"{path} is not complete: {journal.trouble}\n  next: make room there\n")


def typed(arguments: Sequence[str]) -> str:
    """The command as a person typed it; what may be a secret is hidden."""
    shown = ["clusterup"]
    hide = False
    for argument in arguments:
        option, equals, _ = argument.partition("=")
        secret = _SECRET_OPTION.fullmatch(option) is not None
        if hide and not argument.startswith("-"):
            shown.append(HIDDEN)
        elif secret and equals:
            shown.append(f"{option}={HIDDEN}")
        else:
            shown.append(_SECRET_VALUE.sub(HIDDEN, argument))
        hide = secret and not equals
    # File names need not be UTF-8; what is written down is.
    return shlex.join(shown).encode("utf-8", "backslashreplace").decode()


def operator() -> str:
    """Who is at work: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _beginning(run: str, plan: Plan[Any], unreachable: Mapping[str, ClusterupError]) -> RunStarted:
    actions = tuple(plan_as_data(plan))
    return RunStarted(
        run=run,
        command=typed(sys.argv[1:]),
        operator=operator(),
        version=__version__,
        planned=len(actions),
        actions=actions,
        unreachable={name: str(error) for name, error in unreachable.items()},
    )


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return Interrupted.exit_code
    return error.exit_code if isinstance(error, typer.Exit | ClusterupError) else 1
