"""clusterup join with a server's token: look, say what speaks against it, use the token up, apply.

Imported when a server joins: it is not quick.
"""

from __future__ import annotations

import dataclasses
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bootstrap.adopt.adopt import bundle_advice
from bootstrap.cli.apply import (
    Shown,
    carry_out,
    confirm_erasing,
    detail_of,
    node_says,
    observed,
    prepared_for,
    stop_for_problems,
)
from bootstrap.cli.common import connections_of, person
from bootstrap.cli.options import Output
from bootstrap.cli.recorded import recorded
from bootstrap.connect.console_login import with_consoles
from bootstrap.engine.plan import make_plan
from bootstrap.engine.run import State, run_plan
from bootstrap.errors import Interrupted
from bootstrap.image.bundle import Bundle
from bootstrap.joining.preflight import ADVICE
from bootstrap.joining.server import Prospect, claim, keep, kept_state_locked, prospect_of, state_to_look_with
from bootstrap.joining.server_preflight import check_same_bundle, server_problems
from bootstrap.lock.guard import Alone, alone
from bootstrap.operations.apply import Intent, intent_of, look, prepare
from bootstrap.outside import on_one_line
from bootstrap.phases.kubeconfig import kubeconfig_beside
from bootstrap.phases.leave.undo import TakenBack, take_back_action
from bootstrap.phases.prepared import Prepared
from bootstrap.state.cluster import ClusterState, cluster_state
from bootstrap.state.membership import note_applied
from bootstrap.ui.words import plan_lines

if TYPE_CHECKING:
    from bootstrap.adopt.fetch import Found
    from bootstrap.cli.options import How
    from bootstrap.engine.events import Event, Observer
    from bootstrap.engine.lock import Patience
    from bootstrap.facts.model import World
    from bootstrap.joining.discovery import Discovered
    from bootstrap.joining.node import Machine
    from bootstrap.pki.token import Token

PARALLEL = 16


def join_server(
    cluster: Discovered,
    token: Token,
    found: Found,
    machine: Machine,
    place: Path | None,
    bundle: Bundle,
    how: How,
    patience: Patience,
) -> None:
    """Make the machine a server of the cluster, and this machine an operator's. Raises ClusterupError, typer.Exit."""
    check_same_bundle(found.handover, bundle)
    prospect = prospect_of(token.id, found, machine, place)
    erased = _use_the_token(cluster, prospect, bundle, how, patience)
    if erased is None:
        typer.echo("nothing was done: this was a dry run", err=True)
        return
    _say_what_goes_on(prospect)
    _apply(prospect, bundle, erased, how, patience)


def _use_the_token(
    cluster: Discovered, prospect: Prospect, bundle: Bundle, how: How, patience: Patience
) -> frozenset[str] | None:
    """Look, show the plan, ask, use the token up, and keep what it opened: the names of nodes whose disks were agreed
    to be erased. None, and nothing is changed, for a dry run."""
    with ExitStack() as stack:
        state = stack.enter_context(state_to_look_with(prospect, patience))
        intent = _intent(prospect, state, bundle)
        only = None
        if not how.dry_run:
            stack.enter_context(kept_state_locked(prospect, patience))
            only = stack.enter_context(alone(intent, _doing(prospect), patience))
        with observed(intent.everybody, how.output, detail_of(how.verbose)) as observe:
            prepared = _looked_at(prospect, intent, how, observe, only)
        if how.output is Output.TEXT:
            typer.echo("\n".join(plan_lines(prepared.plan)))
        stop_for_problems(prepared)
        if prospect.node.name in prepared.world.unreachable:
            raise typer.Exit(1)
        for note in prospect.notes:
            typer.echo(on_one_line(f"note: {note}"), err=True)
        if only is None:
            return None
        erased = _installed_by(prepared)
        if erased and not how.yes:
            confirm_erasing()
        claim(prospect, cluster, intent.keys)
        keep(prospect, state)
    return erased


def _looked_at(prospect: Prospect, intent: Intent, how: How, observe: Observer, only: Alone | None) -> Prepared:
    through = with_consoles(intent.everybody, intent.state, node_says(observe))
    with connections_of(intent, observe, person(), through) as connections:

        def seen() -> World:
            return look(intent, connections, parallel=PARALLEL, observe=observe)

        def prepared(world: World) -> Prepared:
            found = prepare(intent, world, wipe=_wipe(prospect, how), advice=ADVICE)
            more = server_problems(prospect, intent, world, connections)
            return dataclasses.replace(found, problems=(*found.problems, *more))

        return prepared(seen()) if only is None else only.prepared(seen, prepared)


def _apply(prospect: Prospect, bundle: Bundle, erased: frozenset[str], how: How, patience: Patience) -> None:
    """What `clusterup apply` does with the inventory that has the server in it now."""
    intent = _intent(prospect, cluster_state(prospect.cluster), bundle)
    with alone(intent, _doing(prospect), patience) as only, ExitStack() as until_the_end:
        with observed(intent.everybody, how.output, detail_of(how.verbose)) as observe:
            prepared = prepared_for(intent, _wipe(prospect, how), PARALLEL, observe, only)
        stop_for_problems(prepared)
        if not _installed_by(prepared) <= erased and not how.yes:
            typer.echo("\n".join(plan_lines(prepared.plan)))
            confirm_erasing()
        note_applied(intent.state, intent.inventory.nodes)
        run = recorded(intent.state.journal, prepared.plan, prepared.world.unreachable)
        shown = Shown(how.output, how.verbose, PARALLEL, until_the_end.enter_context(run))
        try:
            carry_out(intent, prepared, only, shown, doing=_doing(prospect), again=_again(prospect))
        except typer.Exit as end:
            if end.exit_code == Interrupted.exit_code:
                typer.echo(f"or to take it back: {_back(prospect)}", err=True)
            else:
                _take_back(prospect, intent, prepared.world, shown)
            raise
    if prospect.node.name in prepared.world.unreachable:
        typer.echo(f"{prospect.node.name} is no server yet; to go on: {_again(prospect)}", err=True)
    elif how.output is Output.TEXT:
        typer.echo(f"{prospect.node.name} is a server of the cluster {prospect.cluster}")
        typer.echo(f"  kubectl --kubeconfig {shlex.quote(str(intent.kubeconfig))} get nodes")
    if advice := bundle_advice(prospect.found.handover):
        typer.echo(on_one_line(f"note: {advice}"), err=True)
    if prepared.world.unreachable:
        raise typer.Exit(3)


def _take_back(prospect: Prospect, intent: Intent, world: World, shown: Shown) -> None:
    """Take the learner out of etcd that the failed join has left, and say so."""
    name, told = prospect.node.name, TakenBack()
    others = [server.name for server in prospect.present.networked_servers]
    plan = make_plan([take_back_action(prospect.node, others, intent.keys, told)], world)
    with observed(intent.everybody, shown.output, detail_of(shown.verbose)) as show:

        def observe(event: Event) -> None:
            shown.journal(event)
            show(event)

        with connections_of(intent, observe) as ways:
            report = run_plan(plan, ways, observe=observe)
    for outcome in report.of(State.FAILED):
        typer.echo(str(outcome.error), err=True)
    if report.of(State.FAILED):
        said = f"whether {name} is a learner in etcd is not known"
    elif told.removed:
        said = f"{name} was a learner in etcd without a vote: it was taken out again"
    elif told.votes:
        said = f"{name} has a vote in etcd and stays there"
    else:
        said = f"{name} did not get into etcd"
    typer.echo(f"{said}; to go on: {_again(prospect)}; to take all of it back: {_back(prospect)}", err=True)


def _say_what_goes_on(prospect: Prospect) -> None:
    typer.echo(
        f"the token is used up, and this machine has the cluster's keys now. Whatever interrupts this: "
        f"{_again(prospect)} goes on, {_back(prospect)} takes it back",
        err=True,
    )


def _intent(prospect: Prospect, state: ClusterState, bundle: Bundle) -> Intent:
    written = prospect.written
    kubeconfig = kubeconfig_beside(prospect.place, prospect.cluster)
    return intent_of(written.inventory, state, bundle, kubeconfig, written=written.content, places=written.places)


def _installed_by(prepared: Prepared) -> frozenset[str]:
    """The nodes whose disks the plan erases."""
    return frozenset(
        item.action.node for item in prepared.plan.items if item.action.step == "install" and item.action.node
    )


def _wipe(prospect: Prospect, how: How) -> frozenset[str]:
    return frozenset({prospect.node.name} if how.wipe else ())


def _doing(prospect: Prospect) -> str:
    return f"join {prospect.node.name}"


def _again(prospect: Prospect) -> str:
    return f"clusterup apply {shlex.quote(str(prospect.place))}"


def _back(prospect: Prospect) -> str:
    return f"clusterup remove {prospect.node.name} {shlex.quote(str(prospect.place))}"
