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
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TextIO

Event = dict[str, Any]
Strike = Callable[[Event], None]


def import_everything() -> None:
    """What a command imports when it needs it, so that each process that is forked from this one has it."""
    # gRPC writes to the terminal by itself.
    os.environ["GRPC_VERBOSITY"] = "NONE"
    modules = [
        *(f"bootstrap.cli.{name}" for name in ("main", "common", "recorded")),
        *("bootstrap.steps.alone", "bootstrap.engine.saved", "bootstrap.ui.words", "bootstrap.ui.jsonl"),
        *(f"bootstrap.transport.{name}" for name in ("authenticate", "connect", "sshconfig", "upload", "forward")),
        *("asyncssh", "cryptography.x509", "etcd3.etcdrpc", "grpc", "httpx", "jinja2", "paramiko", "yaml", "zstandard"),
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


def run_clusterup(
    arguments: list[str], *, environment: Mapping[str, str], folder: Path, log: Path, strike: Strike
) -> int:
    """Run clusterup as typed, in a forked process. Its exit code; minus the signal's number where one ended it. What it
    says is appended to `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if not process:
        _be_clusterup(arguments, environment, folder, log, strike)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def kill_myself() -> None:
    """What kill -9 does to this process: nothing of it runs any more when this is over, which it never is."""
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def shorten_waits(most: float = 2.0, pause: float = 0.2) -> None:
    """From here on this process waits at most so many seconds for anything that an action waits for, and asks each
    `pause` seconds: what comes about in a simulation comes at once or not at all. Called again, it changes nothing."""
    from bootstrap.engine.context import RunContext

    patient = RunContext.wait_until
    if patient.__name__ == "impatient":
        return

    def impatient(self: RunContext, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        patient(self, condition, what=what, timeout=min(timeout, most), every=min(every, pause))

    RunContext.wait_until = impatient  # type: ignore[method-assign]


def _be_clusterup(
    arguments: list[str], environment: Mapping[str, str], folder: Path, log: Path, strike: Strike
) -> NoReturn:
    code = 70
    try:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        with Path(os.devnull).open() as sys.stdin, log.open("a") as said:
            said.write(f"$ clusterup {' '.join(arguments)}\n")
            sys.stderr = said
            sys.stdout = Watched(strike, said)
            sys.argv = ["clusterup", *arguments]
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
