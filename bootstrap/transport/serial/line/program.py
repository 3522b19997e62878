"""A line that a program carries: its standard input and output are the console (ipmitool, virsh, conserver)."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import signal
import subprocess
import termios
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress

from bootstrap.inventory.serial_target import CarrierKind, ConsoleTarget
from bootstrap.transport.serial.errors import ConsoleFailed, console_failed
from bootstrap.transport.serial.line.descriptor import DescriptorLine
from bootstrap.transport.serial.text import last_words

SOON = 0.3
"""Seconds within which a program that can't do its work usually has ended."""
ENDING = 3.0
"""Seconds a program gets to end after each way of asking it to."""
ASKING = (signal.SIGHUP, signal.SIGTERM)
"""How a program is asked to end, in this order, before it is made to."""
KEPT = 4096
COLUMNS = 80
ROWS = 24


def open_program(target: ConsoleTarget) -> ProgramLine:
    """Start the program: on a terminal of its own that changes no byte, or with pipes (`pipe:`). Raises ConsoleFailed
    where it can't be started, or ends at once."""
    carrier = target.carrier
    if shutil.which(carrier.argv[0]) is None:
        raise console_failed(
            target,
            f"there is no program {carrier.argv[0]}",
            tried=shlex.join(carrier.argv),
            got="command not found",
            hint="install it, or write its path (console.url)",
        )
    try:
        line = _with_pipes(target) if carrier.kind is CarrierKind.PIPE else _on_terminal(target)
    except OSError as error:
        raise console_failed(
            target,
            f"{carrier.argv[0]} can't be started",
            tried=shlex.join(carrier.argv),
            got=error.strerror or str(error),
            hint="start it by hand, and correct console.url",
        ) from None
    try:
        line.stop_if_ended(target)
    except ConsoleFailed:
        line.close()
        raise
    return line


class ProgramLine(DescriptorLine):
    """The line, and the last words of its program when that ends."""

    def __init__(
        self,
        target: ConsoleTarget,
        descriptors: tuple[int, int],
        process: subprocess.Popen[bytes],
        close: Callable[[], None],
    ) -> None:
        self._program = _Program(process, close)
        super().__init__(target.node, target.described, descriptors, self._program)

    def read(self, seconds: float) -> bytes:
        data = super().read(seconds)
        self._program.said = (self._program.said + data)[-KEPT:]
        return data

    def stop_if_ended(self, target: ConsoleTarget) -> None:
        """Raises ConsoleFailed where the program ends before it could have been of use."""
        process = self._program.process
        with suppress(subprocess.TimeoutExpired):
            process.wait(SOON)
            self._program.said = _rest(self._source)
            raise console_failed(
                target,
                f"{target.carrier.argv[0]} ended at once",
                tried=shlex.join(target.carrier.argv),
                got=self._program.ended(None),
                hint="start it by hand to see what it wants, and correct console.url",
            )


class _Program:
    def __init__(self, process: subprocess.Popen[bytes], close: Callable[[], None]) -> None:
        self.process = process
        self.said = b""
        self._close = close

    def ended(self, _: OSError | None) -> str:
        try:
            status = self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            return "the program closed its output"
        how = f"it ended with status {status}" if status >= 0 else f"it was ended by {signal.Signals(-status).name}"
        said = last_words(self.said)
        return f"{how}, having said: {said}" if said else f"{how}, without a word"

    def send_break(self) -> None:
        """Programs have ways of their own for it, as ipmitool's ~B."""

    def close(self) -> None:
        self._close()
        for number in (*ASKING, signal.SIGKILL):
            if self.process.poll() is not None:
                return
            try:
                # It leads a session of its own: what it started ends with it.
                os.killpg(self.process.pid, number)
            except (ProcessLookupError, PermissionError):
                self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDING)


def _on_terminal(target: ConsoleTarget) -> ProgramLine:
    ours, theirs = pty.openpty()
    try:
        tty.setraw(theirs)
        termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
        # virsh and its like insist on a controlling terminal, and Python can't make one in a process with threads.
        setsid = ("setsid", "--ctty") if shutil.which("setsid") else ()
        process = subprocess.Popen(
            [*setsid, *_heeding(target.carrier.argv)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=not setsid,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return ProgramLine(target, (ours, ours), process, lambda: os.close(ours))


def _with_pipes(target: ConsoleTarget) -> ProgramLine:
    process = subprocess.Popen(
        _heeding(target.carrier.argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        bufsize=0,
    )
    sink, source = process.stdin, process.stdout
    if sink is None or source is None:
        raise OSError("no pipes")

    def close() -> None:
        sink.close()
        source.close()

    return ProgramLine(target, (source.fileno(), sink.fileno()), process, close)


def _heeding(argv: Sequence[str]) -> list[str]:
    """The program as it is started to end when it is asked to: what ignores a hang-up (nohup) starts others that do.
    Where this machine's env(1) can't change that, the program ends only when it is made to."""
    ignored = [number.name.removeprefix("SIG") for number in ASKING if signal.getsignal(number) is signal.SIG_IGN]
    if not ignored:
        return list(argv)
    env = ["env", f"--default-signal={','.join(ignored)}"]
    try:
        able = subprocess.run([*env, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        able = False
    return [*env, *argv] if able else list(argv)


def _rest(source: int) -> bytes:
    """What a program that has ended left to be read."""
    said = b""
    with suppress(OSError):
        while block := os.read(source, KEPT):
            said += block
    return said
