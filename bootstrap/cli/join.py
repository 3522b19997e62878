"""clusterup join."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import (
    BundleOption,
    How,
    InterfaceOption,
    MayWipeOption,
    Output,
    PinOption,
    ServerOption,
    TokenFileOption,
    TokenOption,
    WaitAtMostOption,
    WaitForLockOption,
    patience_of,
)

if TYPE_CHECKING:
    from bootstrap.connect.ssh import Ask
    from bootstrap.engine.connections import Connections
    from bootstrap.engine.events import Event, Observer
    from bootstrap.engine.lock import Patience
    from bootstrap.joining.node import Joining


AGAIN = "the same command: it goes on from what is true by then"


def register(app: typer.Typer) -> None:
    """Add join to `app`."""
    app.command()(join)


def join(
    host: Annotated[str, typer.Argument(help="The machine: [USER@]HOST[:PORT].", show_default=False)],
    server: ServerOption,
    ca_cert_hash: PinOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the Node. Default: HOST, as far as its first dot.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="The address that other nodes reach it at. Default: HOST's.")
    ] = None,
    interface: InterfaceOption = None,
    disk: Annotated[
        str | None, typer.Option("--disk", help="The disk to install to: /dev/vda, serial:SERIAL. It is erased.")
    ] = None,
    wipe: MayWipeOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Erase the disk without asking, for scripts.")] = False,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label of the Node. Repeatable.")
    ] = None,
    taint: Annotated[
        list[str] | None, typer.Option("--taint", metavar="KEY=VALUE:EFFECT", help="A taint of the Node. Repeatable.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Who to log in as. Default: root.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port of its SSH server. Default: 22.")] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="A private key that it lets in. Default: the agent's, ~/.ssh/id_*.")
    ] = None,
    password_from: Annotated[
        str | None, typer.Option("--password-from", help="Where its password is: env:NAME, file:PATH or prompt.")
    ] = None,
    host_key: Annotated[
        str | None, typer.Option("--host-key", help="Its host key: 'ssh-ed25519 AAAA...'. Default: you are asked.")
    ] = None,
    inventory: Annotated[
        Path | None,
        typer.Option("--inventory", help="For a server: where to write the inventory. Default: NAME.yaml here."),
    ] = None,
    bundle: BundleOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Go as far as the plan, and change nothing on the machine.")
    ] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="text, or json: one object a line.")] = Output.TEXT,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show each command that runs on the machine.")
    ] = False,
    wait_for_lock: WaitForLockOption = False,
    wait_at_most: WaitAtMostOption = None,
) -> None:
    """Join a machine to a cluster, with a token and nothing else of the cluster: as an agent or, with a server's token,
    as a server.

    The machine may be any that `clusterup apply` installs, or one that runs the installed system already. Everything it
    gets comes from the bundle here and from the cluster. `clusterup token create` prints the command with all it needs.

    What stands on a command line is seen by every user of this machine. Without --token, the token comes from
    --token-file, from the environment variable CLUSTERUP_TOKEN, or you are asked for it.

    Everything that speaks against it is said before the machine is touched. Run it again after any interruption: it
    goes on from what is true by then, for as long as the token is good.

    A server's token is used up by its first use and opens the cluster's keys: this machine is an operator's afterwards.
    The inventory is written here with the server in it, and what was interrupted goes on with `clusterup apply`.
    """
    from bootstrap.errors import BadUse
    from bootstrap.image.bundle import find_bundle
    from bootstrap.joining.arguments import given_token, machine_of
    from bootstrap.joining.discovery import discover, pins_of, server_url
    from bootstrap.joining.node import described_agent, joining_of
    from bootstrap.joining.server import opened_with, used_here
    from bootstrap.joining.server_bundle import joins_by_itself, made_for
    from bootstrap.transport.target import place_of

    try:
        place = place_of(host)
    except ValueError as error:
        raise BadUse(str(error), step="join", hint="as in: clusterup join root@192.0.2.21 ...") from None
    url, pins = server_url(server), pins_of(ca_cert_hash or ())
    ssh = {
        "user": user or place.user,
        "port": port or place.port,
        "key": str(key) if key else None,
        "password_from": password_from,
        "host_key": host_key,
    }
    machine = machine_of(
        place,
        ssh,
        name=name,
        address=address,
        disk=disk,
        labels=label or (),
        taints=taint or (),
        interfaces=interface or (),
    )
    local = find_bundle(bundle)
    shown = given_token(token, token_file)
    how = How(output, verbose=verbose, wipe=wipe, yes=yes, dry_run=dry_run)
    patience = patience_of(wait_for_lock, wait_at_most)
    if (used := used_here(shown.id)) is not None:
        raise used
    cluster = discover(url, shown, pins)
    if (found := opened_with(cluster, shown)) is not None:
        from bootstrap.cli.join_server import join_server

        join_server(cluster, shown, found, machine, inventory, local, how, patience)
        return
    if (server_of_it := made_for(cluster, shown)) is not None:
        raise joins_by_itself(server_of_it)
    if inventory is not None:
        raise BadUse(
            "an agent's token opens no inventory", step="join", got="--inventory", hint="leave it away for an agent"
        )
    _join(joining_of(cluster, shown, described_agent(cluster, shown), machine, local), how, patience)


def _join(joining: Joining, how: How, patience: Patience) -> None:
    """Plan, ask, do, as apply does."""
    from bootstrap.cli.apply import brakes_of, confirm_erasing, detail_of, observed, stop_for_problems
    from bootstrap.cli.common import person
    from bootstrap.cli.recorded import recorded
    from bootstrap.engine.lock import file_lock
    from bootstrap.engine.run import Brakes, State, run_plan
    from bootstrap.joining.plan import look_at, prepare_join
    from bootstrap.transport.hostkeys import PassingHostKeys
    from bootstrap.ui.words import plan_lines, report_lines

    if how.dry_run:
        # Which host key a person believes for a look is not kept.
        joining = replace(joining, state=replace(joining.state, pins=PassingHostKeys))
    name, cluster = joining.node.name, joining.description.cluster
    detail = detail_of(how.verbose)
    lock = nullcontext() if how.dry_run else file_lock(joining.state.lock, f"join {name}", patience)
    with lock, ExitStack() as until_the_end:
        if joining.state.vault.overtaken:
            # Whoever joined a machine before has made the key that was missing here.
            joining = replace(joining, state=replace(joining.state))
        with (
            observed(joining.inventory, how.output, detail) as observe,
            _connections(joining, observe, person()) as connections,
        ):
            world = look_at(joining, connections, observe)
            prepared = prepare_join(joining, world, connections, wipe=how.wipe)
        if how.output is Output.TEXT and not prepared.plan.empty:
            typer.echo("\n".join(plan_lines(prepared.plan)))
        stop_for_problems(prepared)
        if how.dry_run:
            typer.echo("nothing was done: this was a dry run", err=True)
            return
        if not prepared.plan.empty:
            if not how.yes and any(item.action.step == "install" for item in prepared.plan.items):
                confirm_erasing()
            joining.state.keep_made()
            journal = until_the_end.enter_context(recorded(joining.state.journal, prepared.plan, {}))
            with (
                observed(joining.inventory, how.output, detail) as show,
                brakes_of(Brakes(abort=patience.abort)) as brakes,
            ):

                def observe_all(event: Event) -> None:
                    journal(event)
                    show(event)

                with _connections(joining, observe_all, None) as connections:
                    report = run_plan(prepared.plan, connections, observe=observe_all, brakes=brakes)
            typer.echo("\n".join(report_lines(report, (), AGAIN)), err=how.output is Output.JSON)
            if brakes.interrupted.is_set():
                raise typer.Exit(130)
            if report.of(State.FAILED):
                raise typer.Exit(3 if report.of(State.DONE) else 1)
    if how.output is Output.TEXT:
        typer.echo(f"{name} is a Ready node of the cluster {cluster}")


@contextmanager
def _connections(joining: Joining, observe: Observer, ask: Ask | None) -> Iterator[Connections]:
    """The way into the machine."""
    from bootstrap.connect.ssh import opener
    from bootstrap.engine.connections import Connections
    from bootstrap.engine.logged import LoggedTransport

    open_node = opener(joining.inventory, joining.state, ask, "then: --host-key '{}'")
    connections = Connections(lambda name: LoggedTransport(open_node(name), observe))
    try:
        yield connections
    finally:
        connections.close_all()
