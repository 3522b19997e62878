"""clusterup adopt."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bootstrap.adopt.adopt import Taken
    from bootstrap.transport.target import SshTarget


def register(app: typer.Typer) -> None:
    """Add adopt to `app`."""
    app.command()(adopt)


def adopt(
    server: Annotated[str, typer.Argument(help="A server of the cluster: [USER@]HOST[:PORT].", show_default=False)],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="A private key that it lets in. Default: the agent's, ~/.ssh/id_*.", exists=True),
    ] = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", help="Where to write the inventory. Default: NAME.yaml here.")
    ] = None,
    host_key: Annotated[
        str | None,
        typer.Option("--host-key", help="Its host key: 'ssh-ed25519 AAAA...'. Default: known_hosts, or you are asked."),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Take certificates and identities that are other ones on the server than here."),
    ] = False,
) -> None:
    """Take over a cluster on this machine: keys, identities and the inventory come from one of its servers.

    Whoever is root on a server can do this. Nothing is changed on any node. Then `clusterup plan` says what is to do.
    """
    from bootstrap.adopt import adopt as adoption
    from bootstrap.adopt.fetch import fetch
    from bootstrap.cli.common import person
    from bootstrap.outside import on_one_line

    found = fetch(_target(server, key), host_key, person())
    handover = found.handover
    place = inventory or Path(f"{handover.cluster}.yaml")
    adoption.check_inventory_place(place, handover.written)
    taken = adoption.take_over(found, adoption.OtherHere.REPLACE if refresh else adoption.OtherHere.KEEP)
    adoption.write_inventory(place, handover.written)
    kubeconfig = adoption.write_own_kubeconfig(handover, place)
    nodes = handover.inventory
    typer.echo(
        f"the cluster {handover.cluster}, as {found.server} has it: "
        f"servers {', '.join(node.name for node in nodes.servers)}; "
        f"agents {', '.join(node.name for node in nodes.agents) or 'none'}"
    )
    typer.echo(f"  state: {taken.folder}: {_words(taken)}")
    typer.echo(f"  inventory: {place}")
    typer.echo(f"  kubeconfig: {kubeconfig}")
    if advice := adoption.bundle_advice(handover):
        typer.echo(on_one_line(f"note: {advice}"))
    typer.echo(f"next: clusterup plan {shlex.quote(str(place))}")


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
