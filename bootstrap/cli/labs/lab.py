"""clusterup lab: up, status, console, stop, down; those that put labs aside are in `lab_saved`."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.described.lazy import KnowsOthers
from bootstrap.cli.labs import saved
from bootstrap.cli.options import Output, file_of

if TYPE_CHECKING:
    from bootstrap.lab.spec import Lab


class Acceleration(StrEnum):
    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"


NameOption = Annotated[
    str, typer.Option("--name", metavar="NAME", help="Name of the lab. Several can be there at once.")
]
NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="A machine of the lab, as in server-1.", show_default=False)
]

lab = typer.Typer(
    cls=KnowsOthers,
    help="Bare machines in QEMU to try things on: UEFI, an empty disk, the live environment on a USB stick. No root, "
    "no real machine needed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the lab's commands to `app`."""
    lab.command()(up)
    lab.command()(status)
    lab.command()(console)
    lab.command()(stop)
    lab.command()(down)
    saved.register(lab)
    app.add_typer(lab, name="lab")


def up(
    servers: Annotated[
        int | None, typer.Option(metavar="N", help="Machines for servers. Default: 3.", show_default=False)
    ] = None,
    agents: Annotated[
        int | None, typer.Option(metavar="N", help="Machines for agents. Default: 0.", show_default=False)
    ] = None,
    memory: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NODE=]MIB",
            help="Memory in MiB, of every machine or of one (server-1=1024). Repeatable. Default: 2048.",
            show_default=False,
        ),
    ] = None,
    cpus: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="CPUs of each machine. Default: 2 where the host has them, else 1.", show_default=False
        ),
    ] = None,
    disk: Annotated[
        int | None,
        typer.Option(
            metavar="GIB",
            help="Disk of each machine in GiB; takes what is written to it. Default: 8.",
            show_default=False,
        ),
    ] = None,
    second_disk: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NODE=]GIB",
            help="A second, empty disk of that many GiB, for every machine or for one (server-1=4). Repeatable. "
            "Default: none.",
            show_default=False,
        ),
    ] = None,
    arch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NODE=]ARCH",
            help="The architecture of every machine, or of one (agent-1=arm64): amd64, or arm64, which is emulated. "
            "Repeatable. Default: amd64.",
            show_default=False,
        ),
    ] = None,
    segments: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Networks that the machines of each role are spread over in turn, with a router between them: 1 to 4. "
            "Default: 1.",
            show_default=False,
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODE=SEGMENT",
            help="Puts a machine on another segment than its turn gives. Repeatable.",
            show_default=False,
        ),
    ] = None,
    registry: Annotated[
        bool | None,
        typer.Option(
            "--registry",
            help="A registry for container images. Machines with a network card reach it.",
            show_default=False,
        ),
    ] = None,
    by_console: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODE",
            help="A machine that nothing but its serial console leads into until apply gives it a network. Repeatable.",
            show_default=False,
        ),
    ] = None,
    without_card: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODE",
            help="A machine without a network card: its console is all it has. Repeatable.",
            show_default=False,
        ),
    ] = None,
    name: NameOption = "lab",
    inventory: Annotated[
        Path, typer.Option(parser=file_of, metavar="FILE", help="Where to write the inventory.")
    ] = Path("lab.yaml"),
    bundle: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE", help="The bundle to boot, a folder or a file. Default: the newest.", show_default=False
        ),
    ] = None,
    accel: Annotated[
        Acceleration, typer.Option(help="kvm, tcg (emulation), or auto: KVM where a trial boot works.")
    ] = Acceleration.AUTO,
) -> None:
    """Start bare machines and write their inventory.

    It waits until every machine can be reached; then `clusterup apply` makes a cluster of them. Run it again
    to start what does not run; disks are kept. An existing lab keeps its shape: options can be left out.
    """
    import os

    from bootstrap.image.finding import find_bundle
    from bootstrap.lab.carried import bring_tools
    from bootstrap.lab.networks.registry import registry_lines
    from bootstrap.lab.spec import Accel
    from bootstrap.lab.store import load_lab
    from bootstrap.lab.up import lab_up
    from bootstrap.lab.wishes import LabRequest, spec_of

    wishes = LabRequest(
        name=name,
        inventory=inventory,
        bundle=bundle,
        accel=Accel(accel.value),
        servers=servers,
        agents=agents,
        cpus=cpus,
        disk=disk,
        memory=memory,
        second_disk=second_disk,
        arch=arch,
        segments=segments,
        on=on,
        registry=registry,
        by_console=by_console,
        without_card=without_card,
    )
    there = load_lab(name)
    spec = spec_of(wishes, there, os.cpu_count() or 1)
    if there is None and spec.bundle is not None:
        bring_tools(find_bundle(spec.bundle), typer.echo)
    made = lab_up(spec, say=typer.echo)
    named = "" if name == "lab" else f" --name {name}"
    commands = (
        (f"clusterup apply {shlex.quote(str(inventory))}", "make a cluster of it"),
        (f"clusterup lab console server-1{named}", "watch a machine; Ctrl-] q leaves"),
        (f"clusterup lab stop server-1{named}", f"cut its power; clusterup lab up{named} brings it back"),
        (f"clusterup lab down{named}", "end the lab and remove its disks"),
    )
    typer.echo(f"\nThe lab is up: {made.words}; {made.accel.words}. Next:")
    width = max(len(command) for command, _ in commands)
    for command, what in commands:
        typer.echo(f"  {command.ljust(width)}   # {what}")
    if made.segments > 1:
        typer.echo("\nPods on different segments don't reach each other yet: the router knows nothing of pods.")
    if made.registry_port is not None:
        typer.echo("\n" + "\n".join(registry_lines(made.registry_port)))


def status(
    name: NameOption = "lab",
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """Show the machines: running or not, address, port."""
    from bootstrap.lab.status import lab_as_data, lab_lines

    found = _existing(name)
    typer.echo(json.dumps(lab_as_data(found), indent=1) if output is Output.JSON else "\n".join(lab_lines(found)))


def console(node: NodeArgument, name: NameOption = "lab") -> None:
    """Show a machine's serial console; Ctrl-] q leaves, Ctrl-] ? lists what else there is.

    Where standard input or output is not a terminal, print the last 100 lines that were written to it.
    """
    from bootstrap.lab.machines.console import attach_console, console_tail
    from bootstrap.ui.console import LEAVE_HINT

    found = _existing(name)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo(console_tail(found, node, 100))
        return
    typer.echo(console_tail(found, node, 20))
    typer.echo(f"-- console of {node}; {LEAVE_HINT} --", err=True)
    attach_console(found, node)
    typer.echo(f"\n-- left the console of {node} --", err=True)


def stop(node: NodeArgument, name: NameOption = "lab") -> None:
    """Cut a machine's power, as pulling the plug would.

    Nothing in it gets to finish. `clusterup lab up` switches it on again, with its disk.
    """
    from bootstrap.lab.machines.machine import stop_machine
    from bootstrap.lab.store import lab_locked

    with lab_locked(name, f"lab stop {node}"):
        stopped = stop_machine(_existing(name), node)
    typer.echo(f"{node}: switched off" if stopped else f"{node} is off already")


def down(name: NameOption = "lab") -> None:
    """End the machines, remove their disks, and forget the cluster that ran on them (keys, certificates).

    The inventory and the kubeconfig stay where you have them.
    """
    from bootstrap.lab.down import lab_down

    if lab_down(name, say=typer.echo):
        typer.echo(f"the lab {name} is gone")
    else:
        typer.echo(f"there is no lab {name}")


def _existing(name: str) -> Lab:
    """The lab of that name. Raises BadUse that names the labs there are."""
    from bootstrap.errors import BadUse
    from bootstrap.lab.store import known_labs, load_lab

    found = load_lab(name)
    if found is None:
        raise BadUse(
            f"there is no lab {name}",
            step="lab",
            got=", ".join(known_labs()) or "no lab at all",
            hint="clusterup lab up makes one; --name chooses among several",
        )
    return found
