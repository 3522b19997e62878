"""clusterup plan, apply."""

from __future__ import annotations

import json
import shlex
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bootstrap.cli.options import (
    DEFAULT_INVENTORY,
    DiffOption,
    How,
    InsteadOfBundleOption,
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
    from collections.abc import Callable

    from bootstrap.engine.saved import SavedPlan
    from bootstrap.operations.apply import Applying
    from bootstrap.operations.intent import Intent
    from bootstrap.phases.prepared import Prepared
    from bootstrap.pki.kubeconfig_merge import Other
    from bootstrap.ui.review import Diffs


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
    bundle: InsteadOfBundleOption = None,
    diff: DiffOption = False,
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
    answer: nothing is known of it; 1 where none did.
    """
    from bootstrap.errors import BadUse, ClusterupError

    try:
        how = How(output, verbose, parallel, diff)
        _plan(inventory, wipe, prune, kubeconfig, bundle, out, detailed_exitcode, how)
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
    bundle: str | None,
    out: Path | None,
    detailed_exitcode: bool,
    how: How,
) -> None:
    from bootstrap.cli.front import program_of, say, show_notes, stop_for_problems
    from bootstrap.engine.saved import write_plan
    from bootstrap.operations.apply import looking
    from bootstrap.operations.differences import differences
    from bootstrap.operations.intent import with_manifests
    from bootstrap.operations.reading import intent_of_file, left_behind, saved_plan_of, with_pruned
    from bootstrap.ui.review import plan_lines

    places = (inventory, kubeconfig) if out is None else _from_anywhere(inventory, kubeconfig)
    bundle = _named(bundle)
    intent = with_manifests(intent_of_file(*places, bundle=bundle), places[0])
    if prune:
        intent = with_pruned(intent, frozenset(wipe or ()))
    with looking(intent, program_of(how)) as applying:
        prepared = applying.prepared(frozenset(wipe or ()))
        diffs = differences(prepared.plan, intent, applying.session.connections) if how.diff else {}
    if how.output is PlanOutput.JSON:
        typer.echo(json.dumps(_as_data(prepared, diffs)))
    elif how.output is PlanOutput.YAML:
        import yaml

        typer.echo(yaml.safe_dump(_as_data(prepared, diffs), sort_keys=False, width=120), nl=False)
    else:
        typer.echo("\n".join(plan_lines(prepared.plan, prepared.world.unreachable, diffs)))
    if behind := left_behind(intent):
        typer.echo(behind, err=how.output is not PlanOutput.TEXT)
    show_notes(intent, prepared)
    if out is not None and (prepared.problems or not prepared.world.anything_found):
        say(f"the plan was not saved to {out}: nothing could be done by it")
    stop_for_problems(prepared)
    if out is not None:
        write_plan(out, saved_plan_of(intent, inventory, prepared, bundle))
        say(f"saved; to do it: clusterup apply --plan {shlex.quote(str(out))}")
    if prepared.world.unreachable:
        raise typer.Exit(3)
    if detailed_exitcode and not prepared.plan.empty:
        raise typer.Exit(2)


def _as_data(prepared: Prepared, diffs: Diffs) -> dict[str, Any]:
    """The plan as plain data, with the nodes that were not reached where there are any, and the diffs of files where
    these were asked for."""
    from bootstrap.engine.plan import plan_as_data

    away = {name: error.problem for name, error in prepared.world.unreachable.items()}
    shown = [{"node": node, "path": path, "diff": list(lines)} for (node, path), lines in diffs.items()]
    return {
        "actions": plan_as_data(prepared.plan),
        **({"unreachable": away} if away else {}),
        **({"diffs": shown} if shown else {}),
    }


def apply(
    inventory: Annotated[
        Path | None,
        typer.Argument(
            parser=file_of,
            metavar="INVENTORY",
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
    bundle: InsteadOfBundleOption = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Put the cluster into your own kubeconfig too, as its current context.")
    ] = False,
    diff: DiffOption = False,
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
    from bootstrap.cli.front import program_of, when_agreed
    from bootstrap.engine.saved import read_plan
    from bootstrap.operations.apply import applying, looking
    from bootstrap.operations.intent import with_manifests
    from bootstrap.operations.reading import NAMED_BUNDLE, intent_of_file, with_pruned
    from bootstrap.operations.stale_plan import LEAVING
    from bootstrap.state.cluster import cluster_state, state_to_look_at

    saved = read_plan(plan) if plan is not None else None
    inventory = inventory or (Path(saved.about.get("inventory", "")) if saved is not None else DEFAULT_INVENTORY)
    places = (inventory, kubeconfig) if saved is None else _from_anywhere(inventory, kubeconfig)
    prune = prune or (saved is not None and LEAVING in saved.about)
    bundle = _named(bundle or (saved.about.get(NAMED_BUNDLE) if saved is not None else None))
    may_wipe = frozenset(wipe or ())

    def read() -> Intent:
        state_of = state_to_look_at if dry_run else cluster_state
        found = with_manifests(intent_of_file(*places, state_of, bundle=bundle), places[0])
        return with_pruned(found, may_wipe) if prune else found

    how = How(output, verbose, parallel, diff)
    program, patience = program_of(how), patience_of(wait_for_lock, wait_at_most)
    also = f"{'--prune ' if prune else ''}{f'--bundle {shlex.quote(bundle)} ' if bundle else ''}"
    doing, again = f"apply {inventory}", f"clusterup apply {also}{shlex.quote(str(inventory))}"

    def at_work() -> AbstractContextManager[Applying]:
        # A dry run writes nothing, not even who holds which lock.
        return looking(read(), program) if dry_run else applying(read, program, patience, doing=doing, again=again)

    wish = _Wish(inventory, how, yes=yes, merge=merge, dry_run=dry_run, plan=plan, saved=saved, bundle=bundle)
    when_agreed(at_work, lambda work: work.prepared(may_wipe), wish.tells_of, wish.has_done)


@dataclass
class _Wish:
    """What a person wants of an apply: how it is shown, what is asked, and what comes after it."""

    inventory: Path
    how: How
    yes: bool
    merge: bool
    dry_run: bool
    plan: Path | None
    saved: SavedPlan | None
    bundle: str | None = None
    replaced: list[Other] = field(default_factory=list)

    def tells_of(self, work: Applying, prepared: Prepared) -> Callable[[], None] | None:
        """Show what would be done; what is to be asked, if anything. Raises ClusterupError for what speaks against
        it."""
        from bootstrap.cli.front import replaced_by_merging, say, show_notes, show_plan, stop_for_problems
        from bootstrap.engine.saved import require_unmoved
        from bootstrap.operations.differences import differences
        from bootstrap.operations.reading import left_behind, saved_plan_of
        from bootstrap.phases.prepared import erases

        intent = work.intent
        shows_diff = self.how.diff and self.how.output is Output.TEXT
        diffs = differences(prepared.plan, intent, work.session.connections) if shows_diff else None
        show_plan(prepared, self.how, diffs)
        if behind := left_behind(intent):
            typer.echo(behind, err=self.how.output is not Output.TEXT)
        show_notes(intent, prepared)
        stop_for_problems(prepared)
        if self.plan is not None and self.saved is not None:
            require_unmoved(self.saved, saved_plan_of(intent, self.inventory, prepared, self.bundle), self.plan)
        if self.dry_run:
            say("nothing was done: this was a dry run")
            raise typer.Exit(3 if prepared.world.unreachable else 0)
        if self.merge and intent.servers:
            self.replaced = replaced_by_merging(intent)
        asks = bool(self.replaced) or bool(not self.yes and erases(prepared.plan))
        return (lambda: self._ask(prepared)) if asks else None

    def has_done(self, work: Applying, prepared: Prepared) -> None:
        """Do it, and say what came of it. Raises typer.Exit where not all of it was done."""
        from bootstrap.cli.front import finish, merge_into_own

        intent = work.intent
        if (ran := work.carry_out(prepared)) is not None:
            finish(work.session, ran, self.how)
        if self.how.output is Output.TEXT and intent.servers and not prepared.world.unreachable:
            typer.echo(f"the cluster is there: kubectl --kubeconfig {shlex.quote(str(intent.kubeconfig))} get nodes")
        if self.merge and intent.servers:
            merge_into_own(intent, self.replaced)
        if prepared.world.unreachable:
            raise typer.Exit(3 if prepared.world.anything_found else 1)

    def _ask(self, prepared: Prepared) -> None:
        from bootstrap.cli.front import confirm_erasing, confirm_replacing
        from bootstrap.phases.prepared import erases

        confirm_replacing(self.replaced)
        if not self.yes and erases(prepared.plan):
            confirm_erasing(prepared)


def _from_anywhere(inventory: Path, kubeconfig: Path | None) -> tuple[Path, Path | None]:
    """Both as absolute paths: a saved plan says the same in whichever folder it is applied."""
    return inventory.absolute(), kubeconfig and kubeconfig.absolute()


def _named(bundle: str | None) -> str | None:
    """The bundle that was named, wherever it is asked for again."""
    from bootstrap.paths import expanded

    return str(expanded(bundle).absolute()) if bundle else None
