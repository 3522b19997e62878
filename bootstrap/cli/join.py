"""clusterup join."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import (
    Agreed,
    BundleOption,
    How,
    InterfaceOption,
    KeyOption,
    MayWipeOption,
    Output,
    PinOption,
    ServerOption,
    TokenFileOption,
    TokenOption,
    WaitAtMostOption,
    WaitForLockOption,
    file_of,
    patience_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootstrap.engine.lock import Patience
    from bootstrap.joining.node import Joining


def register(app: typer.Typer) -> None:
    """Add join to `app`."""
    app.command()(join)


def join(
    host: Annotated[str, typer.Argument(metavar="HOST", help="The machine: [USER@]HOST[:PORT].", show_default=False)],
    server: ServerOption,
    ca_cert_hash: PinOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the Node. Default: HOST, as far as its first dot."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDRESS", help="The address that other nodes reach it at. Default: HOST's."),
    ] = None,
    interface: InterfaceOption = None,
    disk: Annotated[
        str | None,
        typer.Option("--disk", metavar="DISK", help="The disk to install to: /dev/vda, serial:SERIAL. It is erased."),
    ] = None,
    wipe: MayWipeOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Erase the disk without asking, for scripts.")] = False,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label of the Node. Repeatable.")
    ] = None,
    taint: Annotated[
        list[str] | None, typer.Option("--taint", metavar="KEY=VALUE:EFFECT", help="A taint of the Node. Repeatable.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Who to log in as. Default: root.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Port of its SSH server. Default: 22.")
    ] = None,
    key: KeyOption = None,
    password_from: Annotated[
        str | None,
        typer.Option("--password-from", metavar="SOURCE", help="Where its password is: env:NAME, file:PATH or prompt."),
    ] = None,
    host_key: Annotated[
        str | None,
        typer.Option("--host-key", metavar="KEY", help="Its host key: 'ssh-ed25519 AAAA...'. Default: you are asked."),
    ] = None,
    inventory: Annotated[
        Path | None,
        typer.Option(
            "--inventory",
            parser=file_of,
            metavar="FILE",
            help="For a server: where to write the inventory. Default: NAME.yaml here.",
        ),
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
    from bootstrap.image.finding import find_bundle
    from bootstrap.joining.arguments import given_token, machine_of
    from bootstrap.joining.discovery import pins_of, server_url
    from bootstrap.joining.node import described_agent, joining_of
    from bootstrap.joining.server import prospect_of
    from bootstrap.joining.server_preflight import check_same_bundle
    from bootstrap.joining.token_use import use_of
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
    how, agreed = How(output, verbose), Agreed(wipe=wipe, yes=yes, dry_run=dry_run)
    patience = patience_of(wait_for_lock, wait_at_most)
    use = use_of(shown, url, pins)
    if use.opened is not None:
        from bootstrap.cli.join_server import join_server

        local = local.with_payload(use.opened.handover.payload)
        check_same_bundle(use.opened.handover, local)
        prospect = prospect_of(shown.id, use.opened, machine, inventory)
        join_server(use.cluster, prospect, local, how, agreed, patience)
        return
    if inventory is not None:
        raise BadUse(
            "an agent's token opens no inventory", step="join", got="--inventory", hint="leave it away for an agent"
        )
    _join(joining_of(use.cluster, shown, described_agent(use.cluster, shown), machine, local), how, agreed, patience)


def _join(joining: Joining, how: How, agreed: Agreed, patience: Patience) -> None:
    """Plan, ask, do, as apply does."""
    from bootstrap.cli.front import confirm_erasing, finish, program_of, say, show_plan, stop_for_problems, when_agreed
    from bootstrap.joining.as_agent import AgentJoin, joining_agent, looking_at_agent
    from bootstrap.phases.prepared import Prepared, erases

    program = program_of(how)

    def tells_of(_: AgentJoin, prepared: Prepared) -> Callable[[], None] | None:
        if not prepared.plan.empty:
            show_plan(prepared, how)
        stop_for_problems(prepared)
        if agreed.dry_run or agreed.yes or not erases(prepared.plan):
            return None
        return lambda: confirm_erasing(prepared)

    def has_done(work: AgentJoin, prepared: Prepared) -> None:
        if (ran := work.carry_out(prepared)) is not None:
            finish(work.session, ran, how)

    if agreed.dry_run:
        with looking_at_agent(joining, program) as work:
            tells_of(work, work.prepared(wipe=agreed.wipe))
        say("nothing was done: this was a dry run")
        return
    when_agreed(
        lambda: joining_agent(joining, program, patience),
        lambda work: work.prepared(wipe=agreed.wipe),
        tells_of,
        has_done,
    )
    if how.output is Output.TEXT:
        typer.echo(f"{joining.node.name} is a Ready node of the cluster {joining.description.cluster}")
