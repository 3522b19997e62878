"""clusterup down."""

from __future__ import annotations

import shlex
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.apply import (
    DEFAULT_INVENTORY,
    InventoryFile,
    OutputOption,
    ParallelOption,
    VerboseOption,
    brakes_of,
    detail_of,
    observed,
)
from bootstrap.cli.options import Output, WaitAtMostOption, WaitForLockOption, patience_of
from bootstrap.outside import on_one_line

if TYPE_CHECKING:
    from bootstrap.engine.connections import Connections
    from bootstrap.engine.events import Event, Observer
    from bootstrap.engine.run import Report
    from bootstrap.facts.model import World
    from bootstrap.lock.guard import Alone
    from bootstrap.operations.teardown import Seen, Teardown
    from bootstrap.phases.prepared import Prepared


def register(app: typer.Typer) -> None:
    """Add down to `app`."""
    app.command()(down)


def down(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Erase the system disks, too, so that nothing starts from them any more.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Name of a node that was off when the others were taken apart. Repeatable."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, for scripts.")] = False,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="NAME", help="The cluster's name, instead of typing it when asked."),
    ] = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option("--kubeconfig", help="Where apply wrote it. Default: NAME.kubeconfig beside the inventory."),
    ] = None,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
    parallel: ParallelOption = 16,
    wait_for_lock: WaitForLockOption = False,
    wait_at_most: WaitAtMostOption = None,
) -> None:
    """Take the cluster apart: on each node everything stops and is removed, but for the installed system.

    All data of pods and of etcd on the nodes is lost. Shows what would be done and asks for the cluster's name. Nodes
    that can't be reached keep nothing from being done on the others; they are named, with exit code 3. Afterwards
    `clusterup apply` makes a new cluster of the same machines.
    """
    from bootstrap.cli.recorded import recorded
    from bootstrap.engine.run import run_plan
    from bootstrap.errors import Several
    from bootstrap.lock.guard import alone
    from bootstrap.operations.teardown import forget, left_alone
    from bootstrap.ui.words import plan_lines

    told = _teardown(inventory, wipe, only or [], kubeconfig)
    if told is None:
        return
    again = shlex.join(["clusterup", "down", str(inventory), *(["--wipe"] if wipe else [])])
    with (
        alone(told, f"down {inventory}", patience_of(wait_for_lock, wait_at_most)) as hold,
        ExitStack() as until_the_end,
    ):
        with observed(told.inventory, output, detail_of(verbose)) as observe:
            prepared, seen = _prepared(told, hold, parallel, observe)
        world, plan = prepared.world, prepared.plan
        if output is Output.TEXT:
            typer.echo(
                "nothing to do"
                if plan.empty and not world.unreachable
                else "\n".join(plan_lines(plan, world.unreachable))
            )
        for name, why in left_alone(told, world).items():
            typer.echo(on_one_line(f"{name} is left alone: {why}"), err=True)
        for error in world.unreachable.values():
            typer.echo(str(error), err=True)
        if prepared.problems:
            raise Several(prepared.problems)
        report = None
        if not plan.empty:
            if not yes:
                _confirm(told, confirm)
            if not told.only:
                told.state.note_ending()
            # etcd goes with the rest: neither its end nor its silence may keep anything from being done.
            hold.outlive_etcd()
            journal = until_the_end.enter_context(recorded(told.state.journal, plan, world.unreachable))
            with observed(told.inventory, output, detail_of(verbose)) as show, brakes_of(hold.brakes) as brakes:

                def observe_all(event: Event) -> None:
                    journal(event)
                    show(event)

                with _connections(told, observe_all) as connections:
                    report = run_plan(plan, connections, observe=observe_all, parallel=parallel, brakes=brakes)
        said = [*forget(told, report, seen), *_end_lines(told, report, world, again)]
        if said:
            typer.echo("\n".join(said), err=output is Output.JSON)
        if report is not None:
            hold.stop_if_lost(report)
            if hold.brakes.interrupted.is_set():
                raise typer.Exit(130)
        if code := _exit_code(report, world):
            raise typer.Exit(code)


def _teardown(inventory: Path, wipe: bool, only: list[str], kubeconfig: Path | None) -> Teardown | None:
    """What is to be taken apart; None, and said to be so, where all of it was before."""
    from bootstrap.errors import BadUse, Refused
    from bootstrap.inventory.load import read_inventory
    from bootstrap.operations.teardown import Teardown
    from bootstrap.phases.kubeconfig import kubeconfig_beside
    from bootstrap.state.cluster import cluster_state
    from bootstrap.state.damage import FROM_A_COPY, FROM_A_SERVER, lost
    from bootstrap.state.joiner import require_operator

    loaded = read_inventory(inventory).inventory
    name, names = loaded.cluster.name, [node.name for node in loaded.nodes]
    for node in only:
        if node not in names:
            raise BadUse(f"the inventory has no node {node}", hint=f"its nodes: {', '.join(names)}")
    require_operator(name)
    state = cluster_state(name)
    if not state.known:
        if state.forgotten:
            state.forget_all_but_the_journal()
            typer.echo(f"nothing to do: the cluster {name} was taken apart, and none of its nodes is left")
            return None
        if state.reached:
            raise lost(state.ssh_key_file, FROM_A_SERVER if state.founded else FROM_A_COPY)
        raise Refused(
            f"nothing on this machine leads into a cluster {name}",
            step="down",
            tried=f"look for its state in {state.folder}",
            got="none",
            hint="run this where it was made, or take it over from one of its servers first: clusterup adopt",
        )
    place = kubeconfig or kubeconfig_beside(inventory, name)
    return Teardown(loaded, state, place, frozenset((only or names) if wipe else ()), frozenset(only))


def _prepared(told: Teardown, hold: Alone, parallel: int, observe: Observer) -> tuple[Prepared, Seen]:
    """What is there and what would be done, under the cluster's lock where its etcd answers."""
    from bootstrap.operations.teardown import look, prepare

    last: list[Seen] = []
    with _connections(told, observe) as connections:

        def seen() -> World:
            last.append(look(told, connections, parallel=parallel, observe=observe))
            return last[-1].world

        # Single nodes are no part of the cluster whose lock it is, and a cluster without keys can't be asked for it.
        if told.only or not told.has_keys:
            seen()
            return prepare(told, last[-1]), last[-1]
        return hold.prepared(seen, lambda _: prepare(told, last[-1])), last[-1]


def _connections(told: Teardown, observe: Observer) -> AbstractContextManager[Connections]:
    from bootstrap.cli.common import connections_to, person

    return connections_to(told.inventory, told.state, observe, person())


def _confirm(told: Teardown, confirm: str | None) -> None:
    """Have the cluster's name typed. Raises Refused where it is another one, or nobody is there to ask."""
    from bootstrap.errors import Refused

    name = told.inventory.cluster.name
    if confirm is None:
        if not sys.stdin.isatty():
            raise Refused(
                f"the cluster {name} would be taken apart and nobody is there to ask",
                step="down",
                tried="ask on the terminal",
                got="standard input is none",
                hint=f"read the plan, then run it with --confirm {name} or --yes",
            )
        typer.echo("All data of pods and of etcd on these nodes is lost. There is no way back.")
        confirm = typer.prompt("The cluster's name, to go on")
    if confirm != name:
        raise Refused(
            "that is not the cluster's name: nothing was done",
            step="down",
            tried="compare it",
            got=str(confirm),
            hint=f"the cluster of this inventory is called {name}",
        )


def _end_lines(told: Teardown, report: Report | None, world: World, again: str) -> list[str]:
    """How it ended, and what is left where."""
    from bootstrap.engine.run import State
    from bootstrap.operations.teardown import what_is_left
    from bootstrap.ui.words import report_lines

    away = [node for node in told.nodes if node.name in world.unreachable]
    lines = [f"{node.name} was not reached: what is on it is still there: {what_is_left(node)}" for node in away]
    rest = " ".join(f"--only {shlex.quote(name)}" for name in ([node.name for node in away] if away else told.only))
    whole = report is None or all(outcome.state is State.DONE for outcome in report.outcomes)
    go_on = f"{again} {rest}".strip() if whole or told.only else again
    if report is not None:
        lines += report_lines(report, world.unreachable, go_on)
    elif away:
        lines.append(f"to go on, when they answer: {go_on}")
    return lines


def _exit_code(report: Report | None, world: World) -> int:
    from bootstrap.engine.run import State

    failed = report is not None and bool(report.of(State.FAILED) or report.of(State.SKIPPED))
    if failed and report is not None and not report.of(State.DONE):
        return 1
    if failed or world.unreachable:
        return 3 if world.anything_found else 1
    return 0
