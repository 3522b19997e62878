"""clusterup ssh, logs."""

from __future__ import annotations

import codecs
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from bootstrap.cli.options import DEFAULT_INVENTORY, file_of

if TYPE_CHECKING:
    from bootstrap.transport.ssh import SshTransport

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="A node of the inventory.", show_default=False)]
InventoryOption = Annotated[
    Path, typer.Option("--inventory", "-i", parser=file_of, metavar="INVENTORY", help="The inventory.")
]


def register(app: typer.Typer) -> None:
    """Add ssh and logs to `app`."""
    app.command()(ssh)
    app.command()(logs)


def ssh(
    node: NodeArgument,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="What runs there, in the place of a shell.", show_default=False),
    ] = None,
    inventory: InventoryOption = DEFAULT_INVENTORY,
) -> None:
    """Open a shell on a node, or run a command there as root, by the way that apply takes.

    That is: the inventory's jump hosts, keys and users, the host key that is known, and for a command sudo where the
    user is not root; a shell is that user's. One word is a line for the shell there ('ls | wc -l'); of several, each
    arrives as it was typed. Put -- before a command that has options of its own. It gets standard input, and its exit
    code is that of clusterup; 255 where a signal ended it.
    """
    from bootstrap.transport.attached import Streams
    from bootstrap.ui.console import raw_terminal

    typed = None if sys.stdin is None else sys.stdin.fileno()
    at_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    kind = (os.environ.get("TERM") or "dumb") if at_terminal else ""
    with _way_into(node, inventory) as way:
        # On a terminal it is the machine's own screen, as that of `console`; else what reaches one is made safe.
        says, complains = (
            _bytes_to(stream) if at_terminal or not stream.isatty() else _text_to(stream)
            for stream in (sys.stdout, sys.stderr)
        )
        streams = Streams(typed, says, complains, kind)
        with raw_terminal(sys.stdin.fileno()) if at_terminal else nullcontext():
            status = way.attach(_script(command or []), streams)
    raise typer.Exit(status)


def _script(command: list[str]) -> str | None:
    """What a shell runs there; None for the shell itself."""
    if len(command) > 1:
        return f"exec {shlex.join(command)}"
    return command[0] if command else None


def logs(
    node: NodeArgument,
    unit: Annotated[
        list[str] | None,
        typer.Argument(metavar="UNIT", help="Units of systemd. Default: all that it logs.", show_default=False),
    ] = None,
    inventory: InventoryOption = DEFAULT_INVENTORY,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, metavar="N", help="How many lines, the newest.")] = 200,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="None before: -1h, yesterday, 12:00.", show_default=False),
    ] = None,
) -> None:
    """Show what a node's services say: kubelet, containerd, etcd, kube-apiserver, or whatever systemd runs there.

    A unit that the node does not have is exit code 4, and its own ones are listed.
    """
    from bootstrap.operations.node_logs import Wanted, logs_script
    from bootstrap.transport.attached import Streams

    script = logs_script(Wanted(unit or (), lines, since, follow))
    with _way_into(node, inventory) as way:
        status = way.attach(script, Streams(None, _text_to(sys.stdout), _text_to(sys.stderr)))
    raise typer.Exit(status)


@contextmanager
def _way_into(name: str, inventory: Path) -> Iterator[SshTransport]:
    """The way into a node, as an operation opens it. Raises ClusterupError."""
    from bootstrap.cli.front import person
    from bootstrap.connect.ssh import opener
    from bootstrap.errors import BadUse
    from bootstrap.inventory.load import load_inventory
    from bootstrap.state.cluster import state_to_look_at
    from bootstrap.transport.ssh import SshTransport

    loaded = load_inventory(inventory)
    names = [each.name for each in loaded.nodes]
    if name not in names:
        raise BadUse(
            f"there is no node {name} in {inventory}",
            step="connect",
            got=f"there are {', '.join(names)}",
            hint="name one of these",
        )
    way = opener(loaded, state_to_look_at(loaded.cluster.name), person())(name)
    try:
        if not isinstance(way, SshTransport):
            raise BadUse(
                f"{name} is not reached over SSH", step="connect", hint=f"its console: clusterup console {name}"
            )
        yield way
    finally:
        way.close()


def _bytes_to(stream: TextIO) -> Callable[[bytes], object]:
    """What writes bytes to a stream as they are."""
    file = stream.fileno()

    def write(data: bytes) -> None:
        while data:
            data = data[os.write(file, data) :]

    return write


def _text_to(stream: TextIO) -> Callable[[bytes], object]:
    """What writes bytes to a stream as text that no terminal acts upon."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(data: bytes) -> None:
        stream.write(decoder.decode(data))
        stream.flush()

    return write
