"""A machine's serial console on the operator's terminal."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrap.errors import ClusterupError, Refused
from bootstrap.lab.machine import machine_folder, machine_running
from bootstrap.lab.qemu import CONSOLE_LOG, CONSOLE_SOCKET
from bootstrap.lab.spec import Lab
from bootstrap.transport.serial.readable import last_lines
from bootstrap.transport.serial.sockets import connect_unix

ESCAPE = b"\x1d"  # Ctrl-]
CONSOLE_LOCK = "console.lock"


def console_tail(lab: Lab, node: str, lines: int) -> str:
    """The last lines that the machine wrote to its console."""
    return last_lines(machine_folder(lab, node) / CONSOLE_LOG, lines)


def attach_console(lab: Lab, node: str) -> None:
    """Connect the terminal to the machine's console, until Ctrl-] or until the machine is switched off.

    Raises ClusterupError where the machine is off, Refused where the console is on another terminal.
    """
    folder = machine_folder(lab, node)
    if not machine_running(lab, node):
        raise ClusterupError(
            "the machine is switched off",
            node=node,
            step="lab console",
            got=console_tail(lab, node, 3) or "it never wrote anything",
            hint=f"clusterup lab up --name {lab.name} starts it",
        )
    with _alone(folder / CONSOLE_LOCK, node):
        try:
            connection = connect_unix(folder / CONSOLE_SOCKET, timeout=None)
        except OSError as error:
            raise ClusterupError(
                "its console can't be reached",
                node=node,
                step="lab console",
                tried=f"connect to {folder / CONSOLE_SOCKET}",
                got=str(error),
                hint=f"switch it off and on: clusterup lab stop {node} --name {lab.name}, then clusterup lab up",
            ) from None
        with connection, _raw(sys.stdin.fileno()):
            relay(connection, sys.stdin.fileno(), sys.stdout.fileno())


def relay(connection: socket.socket, keyboard: int, screen: int) -> None:
    """Carry bytes both ways until Ctrl-] is typed, or either side ends."""
    while True:
        ready, _, _ = select.select([connection.fileno(), keyboard], [], [])
        if connection.fileno() in ready:
            try:
                data = connection.recv(65536)
            except ConnectionResetError:
                return
            if not data:
                return
            _write(screen, data)
        if keyboard in ready:
            typed = os.read(keyboard, 4096)
            before, escape, _ = typed.partition(ESCAPE)
            try:
                connection.sendall(before)
            except (BrokenPipeError, ConnectionResetError):
                return
            if escape or not typed:
                return


def _write(screen: int, data: bytes) -> None:
    while data:
        data = data[os.write(screen, data) :]


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Every key goes to the machine, Ctrl-C too."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def _alone(lock: Path, node: str) -> Iterator[None]:
    """QEMU serves one console at a time, and lets a second one wait without a word."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "its console is on another terminal",
                node=node,
                step="lab console",
                hint="leave it there first, with Ctrl-]; what it wrote is in console.log all the same",
            ) from None
        yield
    finally:
        os.close(handle)
