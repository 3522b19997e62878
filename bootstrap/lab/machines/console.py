"""A machine's serial console on the operator's terminal."""

from __future__ import annotations

import sys

from bootstrap.errors import ClusterupError, Refused
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.lab.machines.machine import machine_folder, machine_running
from bootstrap.lab.machines.qemu import CONSOLE_LOG, CONSOLE_SOCKET
from bootstrap.lab.spec import Lab
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.errors import ConsoleFailed, LineInUse
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.line.open import open_line
from bootstrap.transport.serial.text import last_lines
from bootstrap.ui.console import converse, raw_terminal

STEP = "lab console"


def console_tail(lab: Lab, node: str, lines: int) -> str:
    """The last lines that the machine wrote to its console."""
    return last_lines(machine_folder(lab, node) / CONSOLE_LOG, lines)


def console_url(lab: Lab, node: str) -> str:
    """The machine's console, as an inventory names it."""
    return f"unix:{machine_folder(lab, node) / CONSOLE_SOCKET}"


def attach_console(lab: Lab, node: str) -> None:
    """Connect the terminal to the machine's console, until Ctrl-] q or until the machine is switched off.

    Raises ClusterupError where the machine is off, Refused where the console is in use.
    """
    if not machine_running(lab, node):
        raise ClusterupError(
            "the machine is switched off",
            node=node,
            step=STEP,
            got=console_tail(lab, node, 3) or "it never wrote anything",
            hint=f"clusterup lab up --name {lab.name} starts it",
        )
    line = _opened(lab, node)
    try:
        with raw_terminal(sys.stdin.fileno()):
            converse(line, sys.stdin.fileno(), sys.stdout.fileno())
    except LineLost:
        # Switched off.
        return


def _opened(lab: Lab, node: str) -> Line:
    try:
        # QEMU keeps what the console says itself. It serves one at a time, and lets a second one wait without a word.
        return open_line(ConsoleTarget(node, console_url(lab, node)), f"lab console {node}")
    except LineInUse as busy:
        raise Refused(
            "its console is in use by another clusterup",
            node=node,
            step=STEP,
            got=busy.got,
            hint="leave it there first, with Ctrl-] q; what it says is in console.log all the same",
        ) from None
    except ConsoleFailed as error:
        raise ClusterupError(
            "its console can't be reached",
            node=node,
            step=STEP,
            tried=error.tried,
            got=error.got,
            hint=f"switch it off and on: clusterup lab stop {node} --name {lab.name}, then clusterup lab up",
        ) from None
