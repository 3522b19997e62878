"""Processes that outlive the command that started them, and are known again without doubt.

A process is known by its number, by when it started and by which boot of this machine that was: a number
that was given out again is never taken for ours.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.image.trees import bwrap_argv
from bootstrap.lab.machines.qemu import LAB_FOLDER
from bootstrap.transport.serial.text import last_lines

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A killed process that was busy in the kernel takes a moment; seconds.
END_TIMEOUT = 30.0
START_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process: `started` in clock ticks since the boot named by `boot`."""

    pid: int
    started: int
    boot: str


def identity_of(pid: int) -> Identity | None:
    """Who has that number now, or None where no one has, or one that has ended and was not collected yet."""
    try:
        # The name in the second field may hold anything, brackets too.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in ("Z", "X"):
        return None
    return Identity(pid, int(fields[19]), BOOT_ID.read_text().strip())


def recorded(record: Path) -> Identity | None:
    """The process that the file `record` names, if it still runs; None otherwise."""
    try:
        identity = Identity(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return identity if identity_of(identity.pid) == identity else None


def start_in(
    tree: Path, argv: Sequence[str], *, folder: Path, record: Path, log: Path, options: Sequence[str] = ()
) -> Identity:
    """Start a program inside `tree`, with `folder` at /run/lab, for as long as it wants to run. `options` are more
    options of bubblewrap, as in --unshare-net; with --unshare-pid, the process that is known takes all others with it.

    Its output is added to `log`, and who it is written to `record` before anything else is done. Its standard
    input never ends. Raises ClusterupError when it could not be started at all.
    """
    info, info_end = os.pipe()
    silence, silence_end = os.pipe()
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                bwrap_argv(
                    tree,
                    argv,
                    binds={folder: LAB_FOLDER},
                    environment={},
                    options=("--info-fd", str(info_end), *options),
                ),
                stdin=silence,
                stdout=output,
                stderr=subprocess.STDOUT,
                # With the other end in its own hands, what reads its input (vde_switch) never meets its end.
                pass_fds=(info_end, silence_end),
                start_new_session=True,
            )
        os.close(info_end)
        info_end = -1
        try:
            pid = _child_pid(info)
            identity = identity_of(pid) if pid is not None else None
            if identity is None:
                process.wait(END_TIMEOUT)
                raise did_not_start(argv[0], log)
            write_whole(record, json.dumps(asdict(identity)))
        except BaseException:
            # No one would find it again. Its session holds nothing but itself.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    finally:
        for descriptor in (info, info_end, silence, silence_end):
            if descriptor >= 0:
                os.close(descriptor)
    return identity


def _child_pid(info: int) -> int | None:
    """What bubblewrap says the number of its child is; None where it ended without a word."""
    said = b""
    while b"}" not in said:
        block = os.read(info, 4096)
        if not block:
            return None
        said += block
    return int(json.loads(said)["child-pid"])


def did_not_start(program: str, log: Path, tried: str = "") -> ClusterupError:
    """The failure of a program of ours, with the last lines that it wrote."""
    return ClusterupError(
        f"{program} did not start",
        step="lab",
        tried=tried or f"start {program}",
        got=last_lines(log, 6) or "no word",
        hint=f"see {log}",
    )


def wait_ready(what: str, folder: Path, record: str, log: str, ready: Callable[[], bool]) -> None:
    """Return when the program `what`, started a moment ago, is `ready`. `record` and `log` are names in `folder`.

    Raises ClusterupError with its last words where it ended, or is not ready after START_TIMEOUT.
    """
    until = time.monotonic() + START_TIMEOUT
    while not ready():
        if recorded(folder / record) is None:
            raise did_not_start(what, folder / log)
        if time.monotonic() > until:
            # Half of it is not taken for all of it by the next command.
            end(folder / record, signal.SIGKILL)
            raise did_not_start(what, folder / log, f"wait for {what} to be ready, {START_TIMEOUT:.0f} s")
        time.sleep(0.02)


def end(record: Path, how: signal.Signals) -> bool:
    """End the process that `record` names, and wait until it is gone. False where it did not run.

    Raises ClusterupError where it does not go.
    """
    identity = recorded(record)
    handle = None if identity is None else _handle(identity)
    if identity is None or handle is None:
        record.unlink(missing_ok=True)
        return False
    try:
        for signal_number in (how, signal.SIGKILL):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal_number)
            if select.select([handle], [], [], END_TIMEOUT)[0]:
                break
        else:
            raise ClusterupError(
                f"process {identity.pid} does not end",
                step="lab",
                tried="SIGKILL",
                got=f"still there after {END_TIMEOUT:.0f} s",
                hint=f"it is stuck in the kernel; look at it with: ps -o pid,stat,wchan,args -p {identity.pid}",
            )
    finally:
        os.close(handle)
    record.unlink(missing_ok=True)
    return True


@contextmanager
def standing_still(record: Path) -> Iterator[None]:
    """The process that `record` names does nothing meanwhile, and goes on afterwards. Nothing where it does not run."""
    identity = recorded(record)
    handle = None if identity is None else _handle(identity)
    if handle is None:
        yield
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGSTOP)
        yield
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGCONT)
        os.close(handle)


def go_on(record: Path) -> None:
    """Have the process that `record` names go on where it stands still. Nothing where it does not run."""
    identity = recorded(record)
    handle = None if identity is None else _handle(identity)
    if handle is None:
        return
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGCONT)
    os.close(handle)


def _handle(identity: Identity) -> int | None:
    """A handle of a process, which the caller closes; None where it has ended."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    # It is of whoever has the number now: it is asked once more who that is, and then can't change.
    if identity_of(identity.pid) == identity:
        return handle
    os.close(handle)
    return None


def write_whole(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    unfinished = path.with_name(path.name + ".new")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:  # noqa: PTH123
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    unfinished.replace(path)
