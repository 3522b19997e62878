"""clusterup console: a node's serial console on the operator's terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import DEFAULT_INVENTORY, InventoryFile, file_of

if TYPE_CHECKING:
    from bootstrap.inventory.serial_target import ConsoleTarget

NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="A node of the inventory that has a console.", show_default=False)
]
LogOption = Annotated[
    Path | None,
    typer.Option(
        "--log", parser=file_of, metavar="FILE", help="Add everything that is shown to this file.", show_default=False
    ),
]
SHOWN_LINES = 100


def register(app: typer.Typer) -> None:
    """Add the console command to `app`."""
    app.command()(console)


def console(node: NodeArgument, inventory: InventoryFile = DEFAULT_INVENTORY, log: LogOption = None) -> None:
    """Show a node's serial console; Ctrl-] q leaves, Ctrl-] ? lists what else there is.

    It logs no one in. While another clusterup uses the console, such as an apply, it is shown and nothing can be typed.
    Where standard input or output is not a terminal, print the last 100 lines that are kept of it.
    """
    from bootstrap.transport.serial.errors import LineInUse
    from bootstrap.transport.serial.line.log import tail_of
    from bootstrap.transport.serial.line.open import open_line
    from bootstrap.ui.console import LEAVE_HINT, converse, raw_terminal

    target = _target(node, inventory)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo(
            (tail_of(target.log, SHOWN_LINES) if target.log else "") or f"nothing is kept of {node}'s console yet"
        )
        return
    with _kept(log) as keep:
        try:
            line = open_line(target, f"console of {node}")
        except LineInUse as busy:
            if busy.log is None:
                raise
            typer.echo(f"-- {busy.got}", err=True)
            _follow(target, busy.log, keep)
            return
        typer.echo(f"-- console of {node}, {line.described}; {LEAVE_HINT} --", err=True)
        with raw_terminal(sys.stdin.fileno()):
            converse(line, sys.stdin.fileno(), sys.stdout.fileno(), keep)
    typer.echo(f"\n-- left the console of {node} --", err=True)


def _follow(target: ConsoleTarget, log: Path, keep: Callable[[bytes], object]) -> None:
    from bootstrap.transport.serial.line.lock import is_claimed
    from bootstrap.ui.console import follow, raw_terminal

    typer.echo(f"-- console of {target.node}, read-only while it is in use; Ctrl-] q leaves --", err=True)
    with raw_terminal(sys.stdin.fileno()):
        left = follow(log, sys.stdin.fileno(), sys.stdout.fileno(), lambda: is_claimed(target), keep)
    ended = "left" if left else "it is free now; run this again to type on"
    typer.echo(f"\n-- {ended} the console of {target.node} --", err=True)


def _target(name: str, inventory: Path) -> ConsoleTarget:
    """The console of the node. Raises BadUse that names the nodes which have one."""
    from bootstrap.connect.console_target import console_target
    from bootstrap.errors import BadUse
    from bootstrap.inventory.load import load_inventory

    loaded = load_inventory(inventory)
    cluster = loaded.cluster.name
    targets = {node.name: console_target(node, cluster) for node in loaded.nodes}
    target = targets.get(name)
    if target is None:
        with_console = ", ".join(node for node, found in targets.items() if found is not None)
        raise BadUse(
            f"{name} has no console in {inventory}" if name in targets else f"there is no node {name} in {inventory}",
            step="console",
            got=f"nodes with a console: {with_console or 'none'}",
            hint="name one of these, or write the console of the node: docs/serial.md",
        )
    return target


@contextmanager
def _kept(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """What keeps what is shown in the file that a person named; nothing where there is none."""
    from bootstrap.errors import BadUse

    if path is None:
        yield lambda _: None
        return
    import os

    try:
        # A console shows what no one else is to read.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise BadUse(
            f"{path} can't be written", step="console", got=error.strerror, hint="name a file in a folder of yours"
        ) from None
    with os.fdopen(handle, "ab", buffering=0) as file:
        yield file.write
