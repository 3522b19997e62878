"""clusterup plan, apply."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bootstrap.cli.options import (
    DEFAULT_INVENTORY,
    How,
    InventoryFile,
    KubeconfigOption,
    Output,
    OutputOption,
    ParallelOption,
    PlanOutput,
    PruneOption,
    VerboseOption,
    WaitAtMostOption,
    WaitForLockOption,
    WipeOption,
    file_of,
    patience_of,
)

if TYPE_CHECKING:
    from bootstrap.operations.intent import Intent
    from bootstrap.phases.prepared import Prepared


def register(app: typer.Typer) -> None:
    """Add plan and apply to `app`."""
    app.command()(plan)
    app.command()(apply)


def plan(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    wipe: WipeOption = None,
    prune: PruneOption = False,
    kubeconfig: KubeconfigOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=file_of,
            metavar="FILE",
            help="Save the plan to this file, for `clusterup apply --plan FILE`.",
        ),
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode",
            help="Exit with 0 when there is nothing to do, with 2 when there is, with 1 for a bad inventory.",
        ),
    ] = False,
    output: Annotated[
        PlanOutput, typer.Option("--output", "-o", help="text, json (one object a line, the plan last) or yaml.")
    ] = PlanOutput.TEXT,
    verbose: VerboseOption = False,
    parallel: ParallelOption = 32,
) -> None:
    """Show what apply would do, node by node, and why. Changes nothing on any node, nor in the state here.

    A saved plan is applied as it was read, or refused when anything has moved since. Exit code 3 where a node did not
    answer: nothing is known of it.
    """
    from bootstrap.errors import BadUse, ClusterupError

    try:
        _plan(inventory, wipe, prune, kubeconfig, out, detailed_exitcode, How(output, verbose, parallel))
    except ClusterupError as error:
        if detailed_exitcode and error.exit_code == BadUse.exit_code:
            # 2 says that there is something to do.
            error.exit_code = ClusterupError.exit_code
        raise


def _plan(
    inventory: Path,
    wipe: list[str] | None,
    prune: bool,
    kubeconfig: Path | None,
    out: Path | None,
    detailed_exitcode: bool,
    how: How,
) -> None:
    from bootstrap.cli.front import program_of, say, show_notes, stop_for_problems
    from bootstrap.engine.saved import write_plan
    from bootstrap.operations.apply import looking
    from bootstrap.operations.reading import intent_of_file, left_behind, saved_plan_of, with_pruned
    from bootstrap.ui.words import plan_lines

    intent = intent_of_file(*((inventory, kubeconfig) if out is None else _from_anywhere(inventory, kubeconfig)))
    if prune:
        intent = with_pruned(intent, frozenset(wipe or ()))
    with looking(intent, program_of(how)) as applying:
        prepared = applying.prepared(frozenset(wipe or ()))
    if how.output is PlanOutput.JSON:
        typer.echo(json.dumps(_as_data(prepared)))
    elif how.output is PlanOutput.YAML:
        import yaml

        typer.echo(yaml.safe_dump(_as_data(prepared), sort_keys=False, width=120), nl=False)
    else:
        typer.echo("\n".join(plan_lines(prepared.plan, prepared.world.unreachable)))
    if behind := left_behind(intent):
        typer.echo(behind, err=how.output is not PlanOutput.TEXT)
    show_notes(intent, prepared)
    stop_for_problems(prepared)
    if out is not None:
        write_plan(out, saved_plan_of(intent, inventory, prepared))
        say(f"saved; to do it: clusterup apply --plan {shlex.quote(str(out))}")
    if prepared.world.unreachable:
        raise typer.Exit(3)
    if detailed_exitcode and not prepared.plan.empty:
        raise typer.Exit(2)


def _as_data(prepared: Prepared) -> dict[str, Any]:
    """The plan as plain data, with the nodes that were not reached where there are any."""
    from bootstrap.engine.plan import plan_as_data

    away = {name: error.problem for name, error in prepared.world.unreachable.items()}
    return {"actions": plan_as_data(prepared.plan), **({"unreachable": away} if away else {})}


def apply(
    inventory: Annotated[
        Path | None,
        typer.Argument(
            parser=file_of,
            metavar="[INVENTORY]",
            help="The inventory. Default: inventory.yaml, or that of --plan.",
            show_default=False,
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            parser=file_of,
            metavar="FILE",
            help="Do what `clusterup plan --out FILE` saved, and nothing else.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Go as far as the plan, and change nothing on any node.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Erase disks without asking, for scripts.")] = False,
    wipe: WipeOption = None,
    prune: PruneOption = False,
    kubeconfig: KubeconfigOption = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Put the cluster into your own kubeconfig too, as its current context.")
    ] = False,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
    parallel: ParallelOption = 16,
    wait_for_lock: WaitForLockOption = False,
    wait_at_most: WaitAtMostOption = None,
) -> None:
    """Make the machines what the inventory says. What is so already is left alone.

    Every problem that can be seen beforehand is reported before anything is changed. Run it again after any
    interruption: it goes on from what is true by then.
    """
    from bootstrap.cli.front import (
        confirm_erasing,
        confirm_merging,
        finish,
        merge_into_own,
        program_of,
        say,
        show_notes,
        show_plan,
        stop_for_problems,
    )
    from bootstrap.engine.saved import read_plan, require_unmoved
    from bootstrap.operations.apply import applying, looking
    from bootstrap.operations.reading import intent_of_file, left_behind, saved_plan_of, with_pruned
    from bootstrap.operations.stale_plan import LEAVING
    from bootstrap.phases.prepared import erases
    from bootstrap.state.cluster import cluster_state, state_to_look_at

    saved = read_plan(plan) if plan is not None else None
    inventory = inventory or (Path(saved.about.get("inventory", "")) if saved is not None else DEFAULT_INVENTORY)
    places = (inventory, kubeconfig) if saved is None else _from_anywhere(inventory, kubeconfig)
    prune = prune or (saved is not None and LEAVING in saved.about)
    may_wipe = frozenset(wipe or ())

    def read() -> Intent:
        found = intent_of_file(*places, state_to_look_at if dry_run else cluster_state)
        return with_pruned(found, may_wipe) if prune else found

    how = How(output, verbose, parallel)
    program, patience = program_of(how), patience_of(wait_for_lock, wait_at_most)
    doing, again = f"apply {inventory}", f"clusterup apply {'--prune ' if prune else ''}{shlex.quote(str(inventory))}"
    # A dry run writes nothing, not even who holds which lock.
    work = looking(read(), program) if dry_run else applying(read, program, patience, doing=doing, again=again)
    with work as at_work:
        intent, prepared = at_work.intent, at_work.prepared(may_wipe)
        show_plan(prepared, how)
        if behind := left_behind(intent):
            typer.echo(behind, err=output is not Output.TEXT)
        show_notes(intent, prepared)
        stop_for_problems(prepared)
        if plan is not None and saved is not None:
            require_unmoved(saved, saved_plan_of(intent, inventory, prepared), plan)
        if dry_run:
            say("nothing was done: this was a dry run")
            raise typer.Exit(3 if prepared.world.unreachable else 0)
        replaced = confirm_merging(intent) if merge and intent.servers else []
        if not yes and erases(prepared.plan):
            confirm_erasing()
        if (ran := at_work.carry_out(prepared)) is not None:
            finish(at_work.session, ran, how)
        if output is Output.TEXT and intent.servers and not prepared.world.unreachable:
            typer.echo(f"the cluster is there: kubectl --kubeconfig {shlex.quote(str(intent.kubeconfig))} get nodes")
        if merge and intent.servers:
            merge_into_own(intent, replaced)
    if prepared.world.unreachable:
        raise typer.Exit(3 if prepared.world.anything_found else 1)


def _from_anywhere(inventory: Path, kubeconfig: Path | None) -> tuple[Path, Path | None]:
    """Both as absolute paths: a saved plan says the same in whichever folder it is applied."""
    return inventory.absolute(), kubeconfig and kubeconfig.absolute()
