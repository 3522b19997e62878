"""A site in a process of its own, and the wire to it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bootstrap.image.bundle import Bundle
from bootstrap.pki.sshkeys import SshKey
from tests.simulator.machines.ssh import Fleet
from tests.simulator.site import Site, Switchboard


@dataclass(frozen=True)
class Bare:
    """A machine as it is bought: its name, its address, where its SSH server is reached (`host`, an address of
    loopback, and `port`), the host key of its live environment and the key that this lets in."""

    name: str
    address: str
    host: str
    port: int
    live_key: SshKey
    admits: str


@dataclass
class Wire:
    """Asks a site in another process. Forked processes may use it, one at a time."""

    connection: Connection
    process: int

    def do(self, what: str, whom: str = "", seconds: float = 0.0) -> Any:
        """See `Switchboard.do`. Raises RuntimeError with what went wrong over there."""
        self.connection.send((what, whom, seconds))
        well, answer = self.connection.recv()
        if not well:
            raise RuntimeError(answer)
        return answer

    def end(self) -> None:
        """End the other process, with everything that it serves."""
        self.connection.close()
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def site_in_a_process(bundle: Bundle, machines: list[Bare], log: Path) -> Wire:
    """Machines that are on when this returns, in a forked process. Raises RuntimeError where they can't be."""
    here, there = socket.socketpair()
    process = os.fork()
    if not process:
        here.close()
        _serve(bundle, machines, Connection(there.detach()), log)
    there.close()
    wire = Wire(Connection(here.detach()), process)
    wire.do("look")
    return wire


def _serve(bundle: Bundle, machines: list[Bare], wire: Connection, log: Path) -> None:
    try:
        with log.open("a", buffering=1) as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            site, fleet = Site(bundle), Fleet(workers=16)
            for each in machines:
                machine = site.add(each.name, each.address, live_key=each.live_key, admits=each.admits)
                fleet.add(machine, each.host, each.port)
            board = Switchboard(site, fleet)
            with suppress(EOFError):
                while True:
                    wire.send(_answered(board, wire.recv()))
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(0)


def _answered(board: Switchboard, asked: tuple[str, str, float]) -> tuple[bool, Any]:
    try:
        return True, board.do(*asked)
    except Exception:
        return False, traceback.format_exc()


def no_threads() -> None:
    """Raises RuntimeError where this process has threads: a fork would leave what they hold locked for ever."""
    if threading.active_count() > 1:
        raise RuntimeError(f"threads: {threading.enumerate()}")
