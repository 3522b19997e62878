"""A wire between clusterup and a real shell on a real pty, with the faults that wires have.

It drops, doubles and flips bytes, both ways; a "kernel" prints into the middle of what the shell says; it is as slow as
it is told to be, and can be unplugged and plugged in again. Its random numbers come from a seed that it prints.
"""

from __future__ import annotations

import os
import random
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bootstrap.transport.errors import LineLost

HELD = 16 * 1024
"""Bytes that the operator's side takes before it makes the writer wait, as a driver does."""
PIECE = 4096
KERNEL_SAYS = (
    "usb 1-1: new high-speed USB device number 7 using xhci_hcd",
    "EXT4-fs (vda2): re-mounted. Quota mode: none.",
    "e1000 0000:00:03.0 eth0: NIC Link is Up 1000 Mbps Full Duplex",
    'audit: type=1400 audit(1700000000.123:45): apparmor="STATUS"',
    "x = 17 # $(reboot); `halt` 'quoted",
)


class FaultyWire:
    """A shell (`argv`) at the far end of a wire. A context: the shell ends with it.

    `errors`: faults per byte. `kernel`: bytes between two lines of the kernel on the average, 0 for a quiet kernel.
    `rate`: bytes a second each way, 0 for as many as go. `only`: what the medium makes of the bytes that it carries.
    `taken` is what the operator's side sent, `said` what the shell's side said.
    """

    def __init__(
        self,
        argv: Sequence[str] = ("sh", "-i"),
        *,
        seed: int = 1,
        errors: float = 0.0,
        kernel: int = 0,
        rate: float = 0.0,
        only: Callable[[bytes], bytes] = bytes,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        print(f"the wire's seed: {seed}")
        self.taken = bytearray()
        self.faults = 0
        self.said = bytearray()
        self.errors = errors
        self._kernel = kernel
        self._rate = rate
        self._only = only
        self._argv, self._cwd = list(argv), cwd
        self._env = {"PATH": os.environ["PATH"], "HOME": "/", "PS1": "# ", **(env or {})}
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._to_shell = bytearray()
        self._to_operator = bytearray()
        self.plugged = 0
        self._connected = True
        self._closed = False
        # The number of a terminal that was closed may be that of somebody else's file by the time it is read.
        self._terminal = threading.Lock()
        self._master = -1

    def __enter__(self) -> Self:
        self.start_shell()
        for pump in (self._pump_in, self._pump_out):
            threading.Thread(target=pump, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.end_shell()

    def start_shell(self) -> None:
        """A new shell, as after a restart of the machine or a new login."""
        master, slave = os.openpty()
        os.set_blocking(master, False)
        self._shell = subprocess.Popen(
            self._argv,
            env=self._env,
            cwd=self._cwd,
            preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509  (two system calls, no lock in between)
            pass_fds=(slave,),
        )
        os.close(slave)
        with self._terminal:
            self._master = master

    def end_shell(self) -> None:
        """Hang up: the terminal goes, and with it the shell."""
        with self._terminal:
            os.close(self._master)
            self._master = -1
        self._shell.kill()
        self._shell.wait()

    @property
    def shell_ended(self) -> bool:
        """Whether the shell has ended on its own."""
        return self._shell.poll() is not None

    def plug(self) -> WireLine:
        """The line, from now on. One that was plugged before is lost."""
        with self._changed:
            self.plugged += 1
            self._connected = True
            self._changed.notify_all()
            return WireLine(self, self.plugged)

    def unplug(self) -> None:
        """Pull the cable: what is on the way is lost, and so is the line."""
        with self._changed:
            self.plugged += 1
            self._connected = False
            self._to_shell.clear()
            self._to_operator.clear()
            self._changed.notify_all()

    def silence(self) -> None:
        """From now on the medium carries nothing."""
        self._only = lambda data: b""

    def take(self, plug: int, seconds: float) -> bytes:
        with self._changed:
            self._changed.wait_for(lambda: self._to_operator or self.plugged != plug, seconds)
            self._still(plug)
            data = bytes(self._to_operator)
            self._to_operator.clear()
            return data

    def put(self, plug: int, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            with self._changed:
                self._changed.wait_for(lambda: len(self._to_shell) < HELD or self.plugged != plug or self._closed)
                self._still(plug)
                piece = data[start : start + PIECE]
                self.taken += piece
                self._to_shell += piece
                self._changed.notify_all()

    def _still(self, plug: int) -> None:
        if self.plugged != plug or self._closed:
            raise LineLost("the line is gone", node="s1", step="console", got="unplugged", hint="plug it in")

    def _pump_in(self) -> None:
        pacer = _Pacer(self._rate)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._to_shell or self._closed)
                if self._closed:
                    return
                piece = bytes(self._to_shell[: pacer.piece])
                del self._to_shell[: len(piece)]
                self._changed.notify_all()
            pacer.pass_by(len(piece))
            data = self._damaged(self._only(piece))
            while data and not self._closed:
                data = data[self._written(data) :]

    def _pump_out(self) -> None:
        pacer = _Pacer(self._rate)
        until_kernel = self._next_kernel()
        while not self._closed:
            data = self._read(pacer.piece)
            self.said += data
            until_kernel -= len(data) or 20
            if until_kernel < 0:
                at = self._random.randint(0, len(data))
                data = data[:at] + self._kernel_line() + data[at:]
                until_kernel = self._next_kernel()
            if data:
                pacer.pass_by(len(data))
                data = self._damaged(self._only(data))
                with self._changed:
                    if self._connected:
                        self._to_operator += data
                    self._changed.notify_all()

    def _written(self, data: bytes) -> int:
        """Bytes that the terminal took; all of them when there is none, as between two shells."""
        with suppress(OSError, ValueError):
            select.select([], [self._master], [], 0.05)
        with self._terminal:
            try:
                return os.write(self._master, data)
            except BlockingIOError:
                return 0
            except OSError:
                return len(data)

    def _read(self, size: int) -> bytes:
        """What the terminal says, nothing after a twentieth of a second."""
        try:
            ready, _, _ = select.select([self._master], [], [], 0.05)
        except (OSError, ValueError):
            time.sleep(0.01)
            return b""
        with self._terminal:
            try:
                return os.read(self._master, size) if ready else b""
            except OSError:
                pass
        # Its other end is closed: that is told again and again, without waiting.
        time.sleep(0.01)
        return b""

    def _next_kernel(self) -> float:
        return self._random.expovariate(1 / self._kernel) if self._kernel else float("inf")

    def _kernel_line(self) -> bytes:
        stamp = self._random.uniform(0, 99999)
        return f"[{stamp:12.6f}] {self._random.choice(KERNEL_SAYS)}\r\n".encode()

    def _damaged(self, data: bytes) -> bytes:
        if not self.errors:
            return data
        whole = bytearray()
        at = 0
        while True:
            # The distance to the next fault, instead of a throw for every byte.
            distance = int(self._random.expovariate(self.errors))
            if at + distance >= len(data):
                return bytes(whole + data[at:])
            whole += data[at : at + distance]
            at += distance
            byte = data[at]
            whole += self._random.choice((b"", bytes([byte, byte]), bytes([byte ^ 1 << self._random.randrange(8)])))
            self.faults += 1
            at += 1


class WireLine:
    """One end of the wire, as a `Line`."""

    def __init__(self, wire: FaultyWire, plug: int) -> None:
        self._wire = wire
        self._plug = plug

    @property
    def described(self) -> str:
        return "/dev/ttyTEST at 115200"

    def read(self, seconds: float) -> bytes:
        return self._wire.take(self._plug, seconds)

    def write(self, data: bytes) -> None:
        self._wire.put(self._plug, data)

    def send_break(self) -> None:
        return None

    def close(self) -> None:
        return None


class _Pacer:
    """Lets bytes by at a rate (bytes a second; 0: as they come)."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = time.monotonic()
        self.piece = max(1, min(PIECE, int(rate / 100))) if rate else PIECE

    def pass_by(self, size: int) -> None:
        if not self._rate:
            return
        now = time.monotonic()
        self._free = max(self._free, now - 0.02) + size / self._rate
        if self._free > now:
            time.sleep(self._free - now)
