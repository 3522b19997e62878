"""clusterup remove."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.apply import (
    DEFAULT_INVENTORY,
    InventoryFile,
    KubeconfigOption,
    OutputOption,
    ParallelOption,
    Shown,
    VerboseOption,
    carry_out,
    detail_of,
    locked,
    observed,
    prepared_for,
    say_notes,
    stop_for_problems,
)
from bootstrap.cli.options import Output, WaitAtMostOption, WaitForLockOption, patience_of, seconds_of
from bootstrap.outside import on_one_line

if TYPE_CHECKING:
    from bootstrap.facts.model import World
    from bootstrap.operations.apply import Intent
    from bootstrap.phases.leave.checks import Leaving


def register(app: typer.Typer) -> None:
    """Add remove to `app`."""
    app.command()(remove)


def remove(
    node: Annotated[str, typer.Argument(help="The node's name.", show_default=False)],
    inventory: InventoryFile = DEFAULT_INVENTORY,
    wipe: Annotated[
        bool | None,
        typer.Option(
            "--wipe/--keep-disk",
            help="Erase its disk, or clean it: the installed system stays, ready to join again. Default: clean it.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Delete pods that may not go in time, and those that nothing starts elsewhere."),
    ] = False,
    drain_timeout: Annotated[
        float | None,
        typer.Option(
            "--drain-timeout", parser=seconds_of, metavar="TIME", help="How long its pods may take to go. Default: 10m."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking, for scripts.")] = False,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
    parallel: ParallelOption = 16,
    wait_for_lock: WaitForLockOption = False,
    wait_at_most: WaitAtMostOption = None,
) -> None:
    """Take a node out of the cluster: its pods elsewhere, itself out of etcd, its machine cleaned or wiped.

    Its entry leaves the inventory's file, all else in it stays as it is. A dead machine can be removed as well. What
    would break the quorum is refused before anything is done. Run it again after any interruption: it goes on.
    """
    from bootstrap.cli.common import intent_of_written, roll_of
    from bootstrap.cli.recorded import recorded
    from bootstrap.inventory.load import read_inventory
    from bootstrap.operations.apply import leaves
    from bootstrap.operations.remove import Asked, begin, is_known, no_such_node, removal_of
    from bootstrap.state.cluster import cluster_state, state_to_look_at
    from bootstrap.state.membership import Disk, Pods, Roll, read_roll
    from bootstrap.ui.words import plan_lines

    written = read_inventory(inventory)
    disk = None if wipe is None else Disk.WIPE if wipe else Disk.KEEP
    asked = Asked(disk, Pods.DELETE if force else None, drain_timeout)
    roll = read_roll(state_to_look_at(written.inventory.cluster.name))
    if roll is None and all(node != each.name for each in written.inventory.nodes):
        roll = roll_of(intent_of_written(inventory, written, kubeconfig))
    roll = roll or Roll()
    removal = removal_of(inventory, written, roll, node, asked)

    def read() -> Intent:
        return leaves(intent_of_written(inventory, removal.written, kubeconfig, cluster_state), removal.leaving)

    doing = f"remove {node} {inventory}"
    with (
        locked(read, doing, patience_of(wait_for_lock, wait_at_most)) as (intent, only),
        ExitStack() as until_the_end,
    ):
        with observed(intent.everybody, output, detail_of(verbose)) as observe:
            prepared = prepared_for(intent, frozenset(), parallel, observe, only)
        if not is_known(removal, roll, prepared.world):
            if node not in roll.left:
                raise no_such_node(node, removal, roll, prepared.world)
            typer.echo(f"{node} has left the cluster (since {roll.left[node]}): nothing to do")
            return
        if output is Output.TEXT:
            typer.echo("\n".join(plan_lines(prepared.plan, prepared.world.unreachable)))
        say_notes(intent, prepared)
        stop_for_problems(prepared)
        if not yes:
            _confirm(removal.leaving, intent.inventory.cluster.name, prepared.world)
        begin(removal, inventory, intent.state)
        run = recorded(intent.state.journal, prepared.plan, prepared.world.unreachable)
        shown = Shown(output, verbose, parallel, until_the_end.enter_context(run))
        again = f"clusterup remove {node} {shlex.quote(str(inventory))}"
        carry_out(intent, prepared, only, shown, doing=doing, again=again)
        typer.echo(f"{node} has left the cluster", err=output is Output.JSON)
    if prepared.world.unreachable:
        raise typer.Exit(3)


def _confirm(leaving: Leaving, cluster: str, world: World) -> None:
    from bootstrap.errors import Refused
    from bootstrap.phases.leave.checks import fate_of

    if not sys.stdin.isatty():
        raise Refused(
            f"{leaving.name} would leave the cluster {cluster} and nobody is there to ask",
            step="leave",
            tried="ask on the terminal",
            got="standard input is none",
            hint="read the plan, then run it with --yes",
        )
    question = f"{leaving.name} leaves the cluster {cluster}; {fate_of(leaving, world)}. Go on?"
    if not typer.confirm(on_one_line(question)):
        raise typer.Exit(1)
