"""clusterup adopt."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import KeyOption, file_of

if TYPE_CHECKING:
    from bootstrap.adopt.state import Taken
    from bootstrap.transport.target import SshTarget


def register(app: typer.Typer) -> None:
    """Add adopt to `app`."""
    app.command()(adopt)


def adopt(
    server: Annotated[
        str, typer.Argument(metavar="SERVER", help="A server of the cluster: [USER@]HOST[:PORT].", show_default=False)
    ],
    key: KeyOption = None,
    inventory: Annotated[
        Path | None,
        typer.Option(
            "--inventory", parser=file_of, metavar="FILE", help="Where to write the inventory. Default: NAME.yaml here."
        ),
    ] = None,
    host_key: Annotated[
        str | None,
        typer.Option(
            "--host-key",
            metavar="KEY",
            help="Its host key: 'ssh-ed25519 AAAA...'. Default: known_hosts, or you are asked.",
        ),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Take certificates and identities that are other ones on the server than here."),
    ] = False,
) -> None:
    """Take over a cluster on this machine: keys, identities and the inventory come from one of its servers.

    Whoever is root on a server can do this. Nothing is changed on any node. Then `clusterup plan` says what is to do.
    """
    from bootstrap.adopt.adopt import adopt as take_over
    from bootstrap.adopt.state import OtherHere
    from bootstrap.cli.front import person
    from bootstrap.outside import on_one_line

    adopted = take_over(
        _target(server, key),
        host_key=host_key,
        ask=person(),
        inventory=inventory,
        other_here=OtherHere.REPLACE if refresh else OtherHere.KEEP,
    )
    handover, taken = adopted.found.handover, adopted.taken
    nodes = handover.inventory
    typer.echo(
        f"the cluster {handover.cluster}, as {adopted.found.server} has it: "
        f"servers {', '.join(node.name for node in nodes.servers)}; "
        f"agents {', '.join(node.name for node in nodes.agents) or 'none'}"
    )
    typer.echo(f"  state: {taken.folder}: {_words(taken)}")
    typer.echo(f"  inventory: {adopted.inventory}")
    typer.echo(f"  kubeconfig: {adopted.kubeconfig}")
    if adopted.advice:
        typer.echo(on_one_line(f"note: {adopted.advice}"))
    typer.echo(f"next: clusterup plan {shlex.quote(str(adopted.inventory))}")


def _target(server: str, key: Path | None) -> SshTarget:
    from bootstrap.errors import BadUse
    from bootstrap.transport.target import SshTarget, place_of

    try:
        place = place_of(server)
    except ValueError as error:
        raise BadUse(str(error), step="adopt", hint="as in: clusterup adopt root@192.0.2.11") from None
    return SshTarget(place.host, place.host, port=place.port, user=place.user, keys=(key,) if key else ())


def _words(taken: Taken) -> str:
    if not taken.added and not taken.replaced:
        return "nothing to do, it is the same"
    return (
        f"{len(taken.added)} files added, {len(taken.replaced)} replaced; they open the cluster: keep them to yourself"
    )
