"""clusterup join with a server's token: look, say what speaks against it, use the token up, apply.

Imported when a server joins: it is not quick.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from bootstrap.adopt.state import bundle_advice
from bootstrap.cli.front import (
    confirm_erasing,
    finish,
    program_of,
    say,
    show_plan,
    stop_for_problems,
    tell,
    when_agreed,
)
from bootstrap.cli.options import Agreed, How, Output
from bootstrap.image.bundle import Bundle
from bootstrap.joining.as_server import (
    ServerJoin,
    ServerLook,
    applying_server,
    claiming_server,
    looking_at_server,
    take_back,
)
from bootstrap.joining.server import Prospect
from bootstrap.phases.prepared import erases

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootstrap.engine.lock import Patience
    from bootstrap.joining.discovery import Discovered
    from bootstrap.operations.apply import Applying
    from bootstrap.phases.prepared import Prepared


def join_server(
    cluster: Discovered, prospect: Prospect, bundle: Bundle, how: How, agreed: Agreed, patience: Patience
) -> None:
    """Make the machine a server of the cluster, and this machine an operator's. Raises ClusterupError, typer.Exit."""
    join = ServerJoin(cluster, prospect, bundle, frozenset({prospect.node.name} if agreed.wipe else ()))
    erased = _use_the_token(join, how, agreed, patience)
    if erased is None:
        say("nothing was done: this was a dry run")
        return
    say(
        f"the token is used up, and this machine has the cluster's keys now. Whatever interrupts this: "
        f"{join.again} goes on, {join.back} takes it back"
    )
    _apply(join, erased, how, agreed, patience)


def _use_the_token(join: ServerJoin, how: How, agreed: Agreed, patience: Patience) -> frozenset[str] | None:
    """Look, show the plan, ask, use the token up, and keep what it opened: the names of nodes whose disks were agreed
    to be erased. None, and nothing is changed, for a dry run."""
    program = program_of(how)
    may_be_erased: frozenset[str] = frozenset()

    def tells_of(_: ServerLook, prepared: Prepared) -> Callable[[], None] | None:
        nonlocal may_be_erased
        show_plan(prepared, how)
        stop_for_problems(prepared)
        if join.prospect.node.name in prepared.world.unreachable:
            raise typer.Exit(1)
        tell(join.prospect.notes)
        may_be_erased = erases(prepared.plan)
        if agreed.dry_run or agreed.yes or not may_be_erased:
            return None
        return lambda: confirm_erasing(prepared)

    if agreed.dry_run:
        with looking_at_server(join, program, patience) as work:
            tells_of(work, work.prepared())
        return None
    when_agreed(
        lambda: claiming_server(join, program, patience),
        lambda work: work.prepared(),
        tells_of,
        lambda work, _: work.use_token(),
    )
    return may_be_erased


def _apply(join: ServerJoin, erased: frozenset[str], how: How, agreed: Agreed, patience: Patience) -> None:
    name = join.prospect.node.name
    with applying_server(join, program_of(how), patience) as work:
        prepared = work.prepared(join.wipe)
        stop_for_problems(prepared)
        if not erases(prepared.plan) <= erased and not agreed.yes:
            show_plan(prepared, How())
            confirm_erasing(prepared)
        _carry_out(join, work, prepared, how)
    if name in prepared.world.unreachable:
        say(f"{name} is not a server yet; to go on: {join.again}")
    elif how.output is Output.TEXT:
        typer.echo(f"{name} is a server of the cluster {join.prospect.cluster}")
        typer.echo(f"  kubectl --kubeconfig {shlex.quote(str(work.intent.kubeconfig))} get nodes")
    if advice := bundle_advice(join.prospect.found.handover):
        tell([advice])
    if prepared.world.unreachable:
        raise typer.Exit(3)


def _carry_out(join: ServerJoin, work: Applying, prepared: Prepared, how: How) -> None:
    """Do it; a learner that a failed join left in etcd is taken out again."""
    ran = work.carry_out(prepared)
    if ran is None:
        return
    try:
        finish(work.session, ran, how)
    except typer.Exit:
        if ran.interrupted:
            say(f"or to take it back: {join.back}")
        else:
            errors, said = take_back(join, work, prepared.world)
            for error in errors:
                say(str(error))
            say(f"{said}; to go on: {join.again}; to take all of it back: {join.back}")
        raise
