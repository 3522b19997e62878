"""clusterup remove."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import (
    DEFAULT_INVENTORY,
    How,
    InventoryFile,
    KubeconfigOption,
    Output,
    OutputOption,
    ParallelOption,
    VerboseOption,
    WaitAtMostOption,
    WaitForLockOption,
    patience_of,
    seconds_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from bootstrap.facts.model import ClusterFacts
    from bootstrap.operations.remove import Removing
    from bootstrap.phases.leave.checks import Leaving
    from bootstrap.phases.prepared import Prepared


def register(app: typer.Typer) -> None:
    """Add remove to `app`."""
    app.command()(remove)


def remove(
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node's name.", show_default=False)],
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
    from bootstrap.cli.front import finish, program_of, show_notes, show_plan, stop_for_problems, when_agreed
    from bootstrap.operations.remove import RemovalRequest, removing
    from bootstrap.state.membership import Disk, Pods

    disk = None if wipe is None else Disk.WIPE if wipe else Disk.KEEP
    asked = RemovalRequest(disk, Pods.DELETE if force else None, drain_timeout)
    how, patience = How(output, verbose, parallel), patience_of(wait_for_lock, wait_at_most)
    doing, again = f"remove {node} {inventory}", f"clusterup remove {node} {shlex.quote(str(inventory))}"

    def at_work() -> AbstractContextManager[Removing]:
        return removing(
            inventory, node, asked, program_of(how), patience, doing=doing, again=again, kubeconfig=kubeconfig
        )

    def tells_of(work: Removing, prepared: Prepared | None) -> Callable[[], None] | None:
        if prepared is None:
            return None
        show_plan(prepared, how)
        show_notes(work.intent, prepared)
        stop_for_problems(prepared)
        leaving, cluster, world = work.removal.leaving, work.intent.inventory.cluster.name, prepared.world
        return None if yes else lambda: _confirm(leaving, cluster, world)

    def act(work: Removing, prepared: Prepared | None) -> None:
        if prepared is None:
            typer.echo(f"{node} has left the cluster (since {work.left}): nothing to do")
            return
        finish(work.session, work.carry_out(prepared), how)
        typer.echo(f"{node} has left the cluster", err=output is Output.JSON)
        if prepared.world.unreachable:
            raise typer.Exit(3)

    when_agreed(at_work, lambda work: work.prepared(), tells_of, act)


def _confirm(leaving: Leaving, cluster: str, world: ClusterFacts) -> None:
    from bootstrap.cli.front import confirm, no_one_to_ask
    from bootstrap.phases.leave.checks import fate_of

    confirm(
        f"{leaving.name} leaves the cluster {cluster}; {fate_of(leaving, world)}. Go on?",
        no_one_to_ask(f"{leaving.name} would leave the cluster {cluster}", "leave"),
    )
