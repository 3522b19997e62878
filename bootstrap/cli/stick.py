"""clusterup stick."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bootstrap.cli.options import (
    BundleOption,
    InterfaceOption,
    MayWipeOption,
    PinOption,
    ServerOption,
    TokenFileOption,
    TokenOption,
    file_of,
)


def register(app: typer.Typer) -> None:
    """Add stick to `app`."""
    app.command()(stick)


def stick(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the Node, and host name of the machine.", show_default=False)
    ],
    server: ServerOption,
    disk: Annotated[
        str,
        typer.Option(
            "--disk",
            metavar="DISK",
            help="The machine's disk to install to: /dev/vda, serial:SERIAL.",
            show_default=False,
        ),
    ],
    address: Annotated[
        str,
        typer.Option(
            "--address", metavar="ADDRESS", help="The address that other nodes reach it at.", show_default=False
        ),
    ],
    ca_cert_hash: PinOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    interface: InterfaceOption = None,
    wipe: MayWipeOption = False,
    bundle: BundleOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=file_of, metavar="FILE", help="The image to write. Default: NAME.stick.", show_default=False
        ),
    ] = None,
) -> None:
    """Make a USB stick from which a machine installs itself and joins a cluster, with no one watching.

    Write the image to a stick (`dd if=NAME.stick of=/dev/sdX`), plug it in, switch the machine on. It installs to the
    disk that was named, if that is empty, restarts, and joins with the token for as long as that is good. Whoever has
    the stick has the token until it ends: `clusterup token create --node NAME --uses 1` makes one for this machine.

    It joins as an agent; with a token that was made for this machine as a server (`clusterup token create --role server
    --node NAME`), as that server.
    """
    from bootstrap.image.files import verify_bundle
    from bootstrap.image.finding import find_bundle
    from bootstrap.joining.arguments import given_token, machine_of
    from bootstrap.joining.discovery import discover, pins_of, server_url
    from bootstrap.joining.node import described_agent, joining_of, keep_identity, note_joining
    from bootstrap.joining.server_bundle import check_same_server, made_for
    from bootstrap.joining.usb import StickRequest, write_join_stick
    from bootstrap.transport.target import Destination

    machine = machine_of(
        Destination(name),
        {},
        name=name,
        address=address,
        disk=disk,
        labels=(),
        taints=(),
        interfaces=interface or (),
    )
    url, pins = server_url(server), pins_of(ca_cert_hash or ())
    local = find_bundle(bundle)
    verify_bundle(local, ["os", "live"])
    shown = given_token(token, token_file)
    cluster = discover(url, shown, pins)
    if (server_of_it := made_for(cluster, shown)) is not None:
        check_same_server(server_of_it, machine)
    joining = joining_of(cluster, shown, described_agent(cluster, shown), machine, local)
    target = out or Path(f"{name}.stick")
    keep_identity(joining)
    write_join_stick(joining, StickRequest(disk, wipe), target)
    note_joining(joining)
    typer.echo(
        f"{target} ({target.stat().st_size >> 20} MiB) installs {name} to {disk} and joins it. To a stick with it:"
    )
    typer.echo(f"  dd if={shlex.quote(str(target))} of=/dev/sdX bs=4M conv=fsync status=progress")
