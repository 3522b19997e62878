"""How the inventory says that a node's console is reached, and where what it says is kept."""

from __future__ import annotations

import re
from pathlib import Path

from bootstrap.inventory.model import Node
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.paths import state_dir
from bootstrap.transport.secrets import secret_source
from bootstrap.transport.serial.line.base import Line, ThroughLine
from bootstrap.transport.serial.shell.find import ShellPatience
from bootstrap.transport.serial.text import plain_text

INSTALLED = re.compile(r"^Configuration: ([0-9a-f]{64}|none, .*)$", re.MULTILINE)
"""What the console of an installed system says of itself (the initrd's `configuration`)."""
KEPT = 65536


def console_log(cluster: str, node: str) -> Path:
    """Where what a node's console says is kept. Not in the cluster's own state: to look at a console makes none."""
    return state_dir() / "consoles" / cluster / f"{node}.log"


def console_target(node: Node, cluster: str) -> ConsoleTarget | None:
    """The line to the console of a node of that cluster, None where the inventory names none."""
    console = node.console
    if console.url is None:
        return None
    password, root_password = console.password_from, console.root_password_from
    return ConsoleTarget(
        node=node.name,
        url=console.url,
        baud=console.baud,
        data_bits=console.data_bits,
        parity=console.parity,
        stop_bits=console.stop_bits,
        flow=console.flow,
        line_ending=console.line_ending,
        user=console.user,
        password=secret_source(password, f"console password of {node.name}") if password else None,
        root_password=secret_source(root_password, f"root password of {node.name}") if root_password else None,
        log=console_log(cluster, node.name),
    )


def console_patience(node: Node) -> ShellPatience:
    """How long a node's console may be silent while a shell is waited for on it."""
    return ShellPatience(silent=float(node.console.silence))


class Heard(ThroughLine):
    """A Line that remembers the end of what was read on it."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self.seen = b""

    @property
    def text(self) -> str:
        """What was read, without control sequences."""
        return plain_text(self.seen.decode("utf-8", "replace"))

    def read(self, seconds: float) -> bytes:
        data = super().read(seconds)
        self.seen = (self.seen + data)[-KEPT:]
        return data
