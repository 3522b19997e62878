"""clusterup plan, apply."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bootstrap.cli.options import Output, PlanOutput, WaitAtMostOption, WaitForLockOption, patience_of
from bootstrap.outside import on_one_line
from bootstrap.signals import handled

if TYPE_CHECKING:
    from bootstrap.engine.events import Event, Observer
    from bootstrap.engine.lock import Patience
    from bootstrap.engine.run import Brakes
    from bootstrap.facts.model import World
    from bootstrap.inventory.model import Inventory
    from bootstrap.lock.guard import Alone
    from bootstrap.operations.apply import Intent
    from bootstrap.phases.prepared import Prepared
    from bootstrap.ui.plain import Detail


InventoryFile = Annotated[Path, typer.Argument(help="The inventory.")]
DEFAULT_INVENTORY = Path("inventory.yaml")
WipeOption = Annotated[
    list[str] | None,
    typer.Option("--wipe", help="Name of a node whose disk may be erased though it holds data. Repeatable."),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text, or json: one object a line.")]
PruneOption = Annotated[
    bool,
    typer.Option(
        "--prune", help="Take nodes out of the cluster that were applied and are not in the inventory any more."
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show each command that runs on a node.")]
ParallelOption = Annotated[int, typer.Option("--parallel", min=1, help="How much is done at the same time.")]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Where to write the kubeconfig. Default: NAME.kubeconfig beside the inventory."),
]


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
        Path | None, typer.Option("--out", help="Save the plan to this file, for `clusterup apply --plan FILE`.")
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
        _plan(inventory, wipe, prune, kubeconfig, out, detailed_exitcode, output, verbose, parallel)
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
    output: PlanOutput,
    verbose: bool,
    parallel: int,
) -> None:
    from bootstrap.cli.common import intent_of_file, left_behind, saved_plan_of, with_pruned
    from bootstrap.engine.saved import write_plan
    from bootstrap.ui.words import plan_lines

    intent = intent_of_file(*((inventory, kubeconfig) if out is None else _from_anywhere(inventory, kubeconfig)))
    if prune:
        intent = with_pruned(intent, frozenset(wipe or ()))
    with observed(intent.everybody, output, detail_of(verbose)) as observe:
        prepared = prepared_for(intent, frozenset(wipe or ()), parallel, observe)
    if output is PlanOutput.JSON:
        typer.echo(json.dumps(_as_data(prepared)))
    elif output is PlanOutput.YAML:
        import yaml

        typer.echo(yaml.safe_dump(_as_data(prepared), sort_keys=False, width=120), nl=False)
    else:
        typer.echo("\n".join(plan_lines(prepared.plan, prepared.world.unreachable)))
    if behind := left_behind(intent):
        typer.echo(behind, err=output is not PlanOutput.TEXT)
    say_notes(intent, prepared)
    stop_for_problems(prepared)
    if out is not None:
        write_plan(out, saved_plan_of(intent, inventory, prepared))
        typer.echo(f"saved; to do it: clusterup apply --plan {shlex.quote(str(out))}", err=True)
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
        typer.Argument(help="The inventory. Default: inventory.yaml, or that of --plan.", show_default=False),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Do what `clusterup plan --out FILE` saved, and nothing else.")
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
    from bootstrap.cli.common import intent_of_file, left_behind, merge_into_own, saved_plan_of, with_pruned
    from bootstrap.cli.recorded import recorded
    from bootstrap.engine.saved import read_plan, require_unmoved
    from bootstrap.operations.stale_plan import LEAVING
    from bootstrap.state.cluster import cluster_state, state_to_look_at
    from bootstrap.state.membership import note_applied
    from bootstrap.ui.words import plan_lines

    saved = read_plan(plan) if plan is not None else None
    inventory = inventory or (Path(saved.about.get("inventory", "")) if saved is not None else DEFAULT_INVENTORY)
    places = (inventory, kubeconfig) if saved is None else _from_anywhere(inventory, kubeconfig)
    prune = prune or (saved is not None and LEAVING in saved.about)

    def read() -> Intent:
        found = intent_of_file(*places, state_to_look_at if dry_run else cluster_state)
        return with_pruned(found, frozenset(wipe or ())) if prune else found

    patience = patience_of(wait_for_lock, wait_at_most)
    # A dry run writes nothing, not even who holds which lock.
    with (
        nullcontext((read(), None)) if dry_run else locked(read, f"apply {inventory}", patience) as (intent, only),
        ExitStack() as until_the_end,
    ):
        with observed(intent.everybody, output, detail_of(verbose)) as observe:
            prepared = prepared_for(intent, frozenset(wipe or ()), parallel, observe, only)
        if output is Output.TEXT:
            typer.echo("\n".join(plan_lines(prepared.plan, prepared.world.unreachable)))
        if behind := left_behind(intent):
            typer.echo(behind, err=output is not Output.TEXT)
        say_notes(intent, prepared)
        stop_for_problems(prepared)
        if plan is not None and saved is not None:
            require_unmoved(saved, saved_plan_of(intent, inventory, prepared), plan)
        if only is None:
            typer.echo("nothing was done: this was a dry run", err=True)
            raise typer.Exit(3 if prepared.world.unreachable else 0)
        if not yes and any(item.action.step == "install" or _wipes(item.action.id) for item in prepared.plan.items):
            confirm_erasing()
        note_applied(intent.state, intent.inventory.nodes)
        if not prepared.plan.empty:
            again = f"clusterup apply {'--prune ' if prune else ''}{shlex.quote(str(inventory))}"
            run = recorded(intent.state.journal, prepared.plan, prepared.world.unreachable)
            shown = Shown(output, verbose, parallel, until_the_end.enter_context(run))
            carry_out(intent, prepared, only, shown, doing=f"apply {inventory}", again=again)
        if output is Output.TEXT and intent.servers and not prepared.world.unreachable:
            typer.echo(f"the cluster is there: kubectl --kubeconfig {shlex.quote(str(intent.kubeconfig))} get nodes")
        if merge and intent.servers:
            merge_into_own(intent)
    if prepared.world.unreachable:
        raise typer.Exit(3 if prepared.world.anything_found else 1)


@contextmanager
def locked(read: Callable[[], Intent], doing: str, patience: Patience) -> Iterator[tuple[Intent, Alone]]:
    """What is to be done, as `read` says it, with the cluster to oneself. Raises Refused as `alone` does."""
    from bootstrap.engine.lock import file_lock
    from bootstrap.lock.guard import holding

    with file_lock(read().state.lock, doing, patience):
        # Whoever was at work before may have made keys, or forgotten them: what was read before that does not count.
        intent = read()
        with holding(intent, doing, patience) as only:
            yield intent, only


@dataclass(frozen=True)
class Shown:
    """How a run is shown, how much of it is done at the same time, and who writes it down."""

    output: Output
    verbose: bool
    parallel: int
    journal: Observer


def carry_out(intent: Intent, prepared: Prepared, only: Alone, shown: Shown, *, doing: str, again: str) -> None:
    """Do what was prepared, and say what came of it. `again` is the command to go on with. Raises typer.Exit where not
    all of it was done."""
    from bootstrap.cli.common import connections_of
    from bootstrap.connect.console_log import watched_consoles
    from bootstrap.connect.console_login import with_last_words
    from bootstrap.engine.run import State, run_plan
    from bootstrap.ui.words import report_lines

    with observed(intent.everybody, shown.output, detail_of(shown.verbose)) as show, brakes_of(only.brakes) as brakes:

        def observe_all(event: Event) -> None:
            shown.journal(event)
            show(event)

        through = with_last_words(intent.everybody, intent.state, node_says(observe_all))
        with watched_consoles(intent.inventory, doing), connections_of(intent, observe_all, through=through) as ways:
            report = run_plan(prepared.plan, ways, observe=observe_all, parallel=shown.parallel, brakes=brakes)
    typer.echo("\n".join(report_lines(report, prepared.world.unreachable, again)), err=shown.output is Output.JSON)
    only.stop_if_lost(report)
    if brakes.interrupted.is_set():
        raise typer.Exit(130)
    if report.of(State.FAILED):
        raise typer.Exit(3 if report.of(State.DONE) else 1)


def say_notes(intent: Intent, prepared: Prepared) -> None:
    """Say what a person has to know of the nodes that leave."""
    from bootstrap.cli.common import notes_of

    for note in notes_of(intent, prepared):
        typer.echo(on_one_line(f"note: {note}"), err=True)


def _wipes(action: str) -> bool:
    return action.endswith("/leave.wipe")


def _from_anywhere(inventory: Path, kubeconfig: Path | None) -> tuple[Path, Path | None]:
    """Both as absolute paths: a saved plan says the same in whichever folder it is applied."""
    return inventory.absolute(), kubeconfig and kubeconfig.absolute()


def detail_of(verbose: bool) -> Detail:
    from bootstrap.ui.plain import Detail

    return Detail.COMMANDS if verbose else Detail.STEPS


def prepared_for(
    intent: Intent, wipe: frozenset[str], parallel: int, observe: Observer, only: Alone | None = None
) -> Prepared:
    """What is there and what would be done; under the cluster's lock where there is something to do and `only` is
    given."""
    from bootstrap.cli.common import connections_of, person
    from bootstrap.connect.console_login import with_consoles
    from bootstrap.operations.apply import look, prepare

    through = with_consoles(intent.everybody, intent.state, node_says(observe))
    with connections_of(intent, observe, person(), through) as connections:

        def seen() -> World:
            return look(intent, connections, parallel=parallel, observe=observe)

        if only is None:
            return prepare(intent, seen(), wipe=wipe)
        return only.prepared(seen, lambda world: prepare(intent, world, wipe=wipe, founded=only.founded))


def node_says(observe: Observer) -> Callable[[str, str], None]:
    """What a node says of itself, told to `observe`."""
    from bootstrap.engine.events import NodeSays

    return lambda node, text: observe(NodeSays(node=node, text=text))


def stop_for_problems(prepared: Prepared) -> None:
    """Say which nodes can't be reached, and stop when something speaks against going on."""
    from bootstrap.errors import Several

    for error in prepared.world.unreachable.values():
        typer.echo(str(error), err=True)
    if prepared.problems:
        raise Several(prepared.problems)
    if not prepared.world.anything_found:
        raise typer.Exit(1)


def confirm_erasing() -> None:
    """Ask whether the disks named before may be erased; anything but yes ends the command. Raises Refused where nobody
    can be asked."""
    from bootstrap.errors import Refused

    if not sys.stdin.isatty():
        raise Refused(
            "disks would be erased and nobody is there to ask",
            step="apply",
            tried="ask on the terminal",
            got="standard input is none",
            hint="read the plan, then run it with --yes",
        )
    if not typer.confirm("The disks named above are erased. Go on?"):
        raise typer.Exit(1)


@contextmanager
def observed(inventory: Inventory, output: Output | PlanOutput, detail: Detail) -> Iterator[Observer]:
    """Who shows what happens: live lines on a terminal, plain ones elsewhere, JSON for machines; nobody where one YAML
    document is all that may be written."""
    from bootstrap.engine.events import nobody
    from bootstrap.ui.jsonl import JsonObserver
    from bootstrap.ui.plain import PlainObserver

    if output in (Output.JSON, PlanOutput.JSON):
        yield JsonObserver(sys.stdout.write)
    elif output is PlanOutput.YAML:
        yield nobody
    elif sys.stdout.isatty():
        from bootstrap.ui.live import LiveObserver
        from bootstrap.ui.terminal import SafeConsole, moves_its_cursor

        console = SafeConsole()
        if not moves_its_cursor(console):
            yield PlainObserver(sys.stdout.write, detail)
            return
        with LiveObserver(console, [node.name for node in inventory.nodes], detail) as live:
            yield live
    else:
        yield PlainObserver(sys.stdout.write, detail)


@contextmanager
def brakes_of(brakes: Brakes) -> Iterator[Brakes]:
    """Ctrl-C once, or SIGTERM: begin nothing new. Twice: end what is under way too."""

    def pressed(*_: object) -> None:
        if brakes.interrupted.is_set():
            brakes.abort.set()
        else:
            brakes.interrupted.set()
            sys.stderr.write("\nfinishing what has begun; press Ctrl-C again to stop now\n")

    with handled((signal.SIGINT, signal.SIGTERM), pressed):
        yield brakes
