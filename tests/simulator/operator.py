"""clusterup in a process of its own that was forked, not started: everything is imported already.

Its standard output is JSON lines, which a strike reads: a real SIGKILL of the real process, or something that happens
to a machine, at the moment that a line tells of.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

Event = dict[str, Any]
Strike = Callable[[Event], None]


def import_everything() -> None:
    """What a command imports when it needs it, so that each process that is forked from this one has it."""
    # gRPC writes to the terminal by itself.
    os.environ["GRPC_VERBOSITY"] = "NONE"
    modules = [
        *(f"bootstrap.cli.{name}" for name in ("main", "front", "down")),
        *(
            "bootstrap.lock.guard",
            "bootstrap.operations.teardown",
            "bootstrap.engine.saved",
            "bootstrap.ui.words",
            "bootstrap.ui.jsonl",
        ),
        *(f"bootstrap.transport.{name}" for name in ("authenticate", "connect", "upload", "forward")),
        "bootstrap.transport.ssh_config.route",
        *(
            "asyncssh",
            "cryptography.x509",
            "etcd3.etcdrpc",
            "grpc",
            "httpx",
            "jinja2",
            "paramiko",
            "yaml",
            "backports.zstd",
        ),
    ]
    for name in modules:
        importlib.import_module(name)


class Watched(io.TextIOBase):
    """A standard output that goes to `log`; each event in it is told to `strike` before anything further happens in the
    thread that tells of it."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, strike: Strike, log: TextIO) -> None:
        self._strike = strike
        self._log = log
        self._left = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        self._log.write(text)
        self._log.flush()
        with self._lock:
            *lines, self._left = (self._left + text).split("\n")
        for line in lines:
            if line.startswith("{"):
                self._strike(json.loads(line))
        return len(text)


class Stuck(Exception):
    """clusterup did not end in its time; it was killed."""


def as_it_is() -> None:
    """For processes of clusterup in which nothing is changed."""


@dataclass(frozen=True)
class Typed:
    """A command, where it is typed and with what in the environment. What it says is appended to `log`, and each event
    told to `strike`; `before` is called in its process before it begins."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    strike: Strike
    before: Callable[[], None] = as_it_is


def run_clusterup(typed: Typed, *, seconds: float = 120.0) -> int:
    """Run clusterup in a forked process. Its exit code; minus the signal's number where one ended it. Raises Stuck
    after `seconds`."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if not process:
        _be_clusterup(typed)
    end = time.monotonic() + seconds
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise Stuck(f"clusterup {' '.join(typed.arguments)} did not end within {seconds:.0f} s")
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(ended[1])


def kill_myself() -> None:
    """What kill -9 does to this process: nothing of it runs any more when this is over, which it never is."""
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def shorten_waits(most: float = 2.0, pause: float = 0.2) -> None:
    """From here on this process waits at most so many seconds for anything that an action waits for, and asks each
    `pause` seconds: what comes about in a simulation comes at once or not at all."""
    from bootstrap.engine.context import RunContext

    patient = RunContext.wait_until

    def impatient(self: RunContext, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        patient(self, condition, what=what, timeout=min(timeout, most), every=min(every, pause))

    RunContext.wait_until = impatient  # type: ignore[method-assign]


def _be_clusterup(typed: Typed) -> NoReturn:
    code = 70
    try:
        os.environ.clear()
        os.environ.update(typed.environment)
        os.chdir(typed.folder)
        typed.before()
        with Path(os.devnull).open() as sys.stdin, typed.log.open("a") as said:
            said.write(f"$ clusterup {' '.join(typed.arguments)}\n")
            sys.stderr = said
            sys.stdout = Watched(typed.strike, said)
            sys.argv = ["clusterup", *typed.arguments]
            code = _exit_code()
            said.write(f"exit code {code}\n")
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def _exit_code() -> int:
    from bootstrap.cli.start import start

    try:
        start()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
