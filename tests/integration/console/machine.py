"""A machine that is reached by nothing but its console: a real getty or any other program on a real terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.transport.serial.line.descriptor import DescriptorLine, Plain
from tests.helpers.daemons import wait_for

GETTY = "/usr/sbin/agetty"


class Machine:
    """A terminal whose other end is a socket, as a serial port's is a cable: `far` is the operator's end of it.

    The kernel hangs a pseudo-terminal up where a serial port's carrier only drops for a moment (login(1) does that on
    purpose): the cable in between hides it.
    """

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        self.terminal = Path(os.ttyname(self._slave))
        self.far, self._near = socket.socketpair()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._carry, daemon=True)]
        self._programs: list[subprocess.Popen[bytes]] = []
        self.typed = b""
        """Everything that came over the cable to the machine."""
        self._threads[0].start()

    def line(self, target: ConsoleTarget) -> DescriptorLine:
        ends = (self.far.fileno(), self.far.fileno())
        return DescriptorLine(target.node, target.described, ends, Plain(lambda: None))

    def says(self, data: bytes) -> None:
        """Something that firmware or the kernel writes to the console."""
        self._near.sendall(data)

    def runs(self, argv: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        """A program on the console, with it as its controlling terminal."""
        program = subprocess.Popen(
            ["setsid", "--ctty", *argv],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd="/",
            env={"PATH": os.environ["PATH"], "TERM": "vt102", "HOME": "/", **environment},
        )
        self._programs.append(program)
        return program

    def lets_log_in(self, *inside: str) -> None:
        """A getty on the console, started again whenever it ends, as init does; `inside` is a program that runs it."""
        thread = threading.Thread(target=self._respawn, args=(inside,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def processes(self) -> list[str]:
        """The commands that run on the console."""
        return listed("args", "-t", str(self.terminal).removeprefix("/dev/"))

    def close(self) -> None:
        self._stopped.set()
        for program in self._programs:
            end_session(program)
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)
        self.far.close()
        self._near.close()

    def _respawn(self, inside: Sequence[str]) -> None:
        name = str(self.terminal).removeprefix("/dev/")
        while not self._stopped.is_set():
            getty = subprocess.Popen(["setsid", *inside, GETTY, "--local-line", "--noclear", name, "115200", "vt102"])
            self._programs.append(getty)
            getty.wait()
            self._stopped.wait(0.3)

    def _carry(self) -> None:
        near = self._near.fileno()
        while not self._stopped.is_set():
            ready, _, _ = select.select([near, self._master], [], [], 0.1)
            if near in ready and (data := os.read(near, 4096)):
                self.typed += data
                with suppress(OSError):
                    os.write(self._master, data)
            if self._master in ready:
                try:
                    self._near.sendall(os.read(self._master, 4096))
                except OSError:
                    # Hung up for the moment that login(1) needs to open it again.
                    self._stopped.wait(0.02)


def listed(what: str, *which: str) -> list[str]:
    """What ps(1) says of some processes; it ends with 1 where there is none."""
    said = subprocess.run(["ps", "-o", f"{what}=", *which], check=False, capture_output=True, text=True)
    return said.stdout.splitlines()


def end_session(program: subprocess.Popen[bytes]) -> None:
    """End a program that leads a session, and whatever runs in that session."""
    for pid in (*map(int, listed("pid", "-s", str(program.pid))), program.pid):
        if pid != program.pid or program.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    program.wait(10)


@contextmanager
def a_machine() -> Iterator[Machine]:
    machine = Machine()
    try:
        yield machine
    finally:
        machine.close()


def shows(line: DescriptorLine, what: Callable[[bytes], bool]) -> bytes:
    """Read until what came is `what`."""
    seen = b""

    def looked() -> bool:
        nonlocal seen
        seen += line.read(0.1)
        return what(seen)

    wait_for(looked, "what the console should show")
    return seen
