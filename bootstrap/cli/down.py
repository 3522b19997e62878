"""clusterup down."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import (
    DEFAULT_INVENTORY,
    How,
    InventoryFile,
    Output,
    OutputOption,
    ParallelOption,
    VerboseOption,
    WaitAtMostOption,
    WaitForLockOption,
    file_of,
    patience_of,
)
from bootstrap.outside import on_one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from bootstrap.facts.model import ClusterFacts
    from bootstrap.operations.down import TakingApart
    from bootstrap.operations.session import Finished
    from bootstrap.operations.teardown import Teardown
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
        typer.Option(
            "--only", metavar="NODE", help="Name of a node that was off when the others were taken apart. Repeatable."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, for scripts.")] = False,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="NAME", help="The cluster's name, instead of typing it when asked."),
    ] = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig",
            parser=file_of,
            metavar="FILE",
            help="Where apply wrote it. Default: NAME.kubeconfig beside the inventory.",
        ),
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
    from bootstrap.cli.front import program_of, when_agreed
    from bootstrap.errors import Refused
    from bootstrap.operations.down import TeardownRequest, taking_apart, teardown_of

    def read() -> Teardown | None:
        return teardown_of(inventory, TeardownRequest(tuple(only or ()), wipe, kubeconfig))

    first = read()
    if first is None:
        typer.echo(f"nothing to do: the cluster of {inventory} was taken apart, and none of its nodes is left")
        return
    shown: Teardown = first
    again = shlex.join(["clusterup", "down", str(inventory), *(["--wipe"] if wipe else [])])
    how, patience = How(output, verbose, parallel), patience_of(wait_for_lock, wait_at_most)

    def at_work() -> AbstractContextManager[TakingApart]:
        # While somebody read and answered, the inventory may have become another one.
        told = read()
        if told is None or [node.name for node in told.nodes] != [node.name for node in shown.nodes]:
            raise Refused(
                "the nodes of the inventory are others now; nothing was done",
                step="down",
                tried=f"read {inventory} again",
                got=", ".join(node.name for node in told.nodes) if told is not None else "it is taken apart",
                hint="run the command again, and read what it would do now",
            )
        return taking_apart(told, program_of(how), patience, doing=f"down {inventory}", again=again)

    def tells_of(work: TakingApart, prepared: Prepared) -> Callable[[], None] | None:
        told = work.told
        _show(told, prepared, output)
        if yes or prepared.plan.empty:
            return None
        if confirm is not None:
            # No one is waited for.
            _require_name(told, confirm)
            return None
        return lambda: _require_name(told, _typed_name(told))

    when_agreed(
        at_work,
        lambda work: work.prepared(),
        tells_of,
        lambda work, prepared: _take_apart(work, prepared, again, output),
    )


def _show(told: Teardown, prepared: Prepared, output: Output) -> None:
    from bootstrap.cli.front import say
    from bootstrap.errors import ErrorGroup
    from bootstrap.operations.teardown import left_alone
    from bootstrap.ui.review import plan_lines

    world, plan = prepared.world, prepared.plan
    if output is Output.TEXT:
        nothing = plan.empty and not world.unreachable
        typer.echo("nothing to do" if nothing else "\n".join(plan_lines(plan, world.unreachable)))
    for name, why in left_alone(told, world).items():
        say(on_one_line(f"{name} is left alone: {why}"))
    for error in world.unreachable.values():
        say(str(error))
    if prepared.problems:
        raise ErrorGroup(prepared.problems)


def _take_apart(work: TakingApart, prepared: Prepared, again: str, output: Output) -> None:
    from bootstrap.cli.front import say
    from bootstrap.ui.words import failure_lines

    ran = work.carry_out(prepared)
    for failure in failure_lines(ran.report) if ran is not None else ():
        say(failure)
    said = [*work.forget(ran), *_end_lines(work.told, ran, prepared.world, again)]
    if said:
        typer.echo("\n".join(said), err=output is Output.JSON)
    if ran is not None:
        work.session.raise_if_lost(ran)
    if code := _exit_code(ran, prepared.world):
        raise typer.Exit(code)


def _typed_name(told: Teardown) -> str:
    """The cluster's name, as it is typed now. Raises Refused where no one is there to ask."""
    from bootstrap.cli.front import no_one_to_ask

    name = told.inventory.cluster.name
    if not sys.stdin.isatty():
        hint = f"read the plan, then run it with --confirm {name} or --yes"
        raise no_one_to_ask(f"the cluster {name} would be taken apart", "down", hint)
    typer.echo("All data of pods and of etcd on these nodes is lost. There is no way back.")
    return str(typer.prompt("The cluster's name, to go on"))


def _require_name(told: Teardown, given: str) -> None:
    """Raise Refused where that is not the cluster's name."""
    from bootstrap.errors import Refused

    name = told.inventory.cluster.name
    if given != name:
        raise Refused(
            "that is not the cluster's name: nothing was done",
            step="down",
            tried="compare it",
            got=given,
            hint=f"the cluster of this inventory is called {name}",
        )


def _end_lines(told: Teardown, ran: Finished | None, world: ClusterFacts, again: str) -> list[str]:
    """How it ended, and what is left where."""
    from bootstrap.operations.teardown import what_is_left
    from bootstrap.ui.words import report_lines

    away = [node for node in told.nodes if node.name in world.unreachable]
    lines = [f"{node.name} was not reached: what is on it is still there: {what_is_left(node)}" for node in away]
    rest = " ".join(f"--only {shlex.quote(name)}" for name in ([node.name for node in away] if away else told.only))
    go_on = f"{again} {rest}".strip() if ran is None or ran.complete or told.only else again
    if ran is not None:
        lines += report_lines(ran.report, world.unreachable, go_on)
    elif away:
        lines.append(f"to go on, when they answer: {go_on}")
    return lines


def _exit_code(ran: Finished | None, world: ClusterFacts) -> int:
    from bootstrap.engine.run import State
    from bootstrap.errors import ClusterupError, PartlyDone

    if ran is not None and ran.interrupted:
        return ran.code_of_actions
    failed = ran is not None and not ran.complete
    if failed and ran is not None and not ran.report.of(State.DONE):
        return ClusterupError.exit_code
    if failed or world.unreachable:
        return PartlyDone.exit_code if world.anything_found else ClusterupError.exit_code
    return 0
