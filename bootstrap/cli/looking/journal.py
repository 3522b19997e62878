"""clusterup events, report."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import DEFAULT_INVENTORY, STANDARD_OUTPUT, InventoryFile, Output
from bootstrap.outside import unguarded

if TYPE_CHECKING:
    from bootstrap.engine.history import JournalEntry, Run

FOLLOW_EVERY_SECONDS = 0.2
DEFAULT_PAGE = Path("report.html")

ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", metavar="NAME", help="The cluster's name, instead of an inventory.", show_default=False),
]
RunOption = Annotated[
    str,
    typer.Option("--run", metavar="ID", help="Which run: its id, as `clusterup events --runs` lists them, or last."),
]


def register(app: typer.Typer) -> None:
    """Add events and report to `app`."""
    app.command()(events)
    app.command()(report)


def events(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    cluster: ClusterOption = None,
    run: RunOption = "last",
    node: Annotated[
        str | None,
        typer.Option(
            "--node", metavar="NODE", help='Only this node; "cluster" is what belongs to none.', show_default=False
        ),
    ] = None,
    runs: Annotated[
        bool, typer.Option("--runs", help="List all runs instead: when, how long, what became of them.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Where the run is under way, go on until it has ended.")
    ] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="text, or json: one object a line.")] = Output.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show each command that ran on a node.")] = False,
) -> None:
    """Show what happened in a run of apply, out of the journal on this machine. Reaches no node.

    \b
    clusterup events                            # the last run, failures in full
    clusterup events --follow                   # the one under way, from another terminal
    clusterup events --runs                     # all runs
    clusterup events --run 5f0c2a9e --node s2   # what happened on one node in an older one
    clusterup events -o json | jq 'select(.event == "ActionFailed").failure'
    """
    from bootstrap.engine.history import RunOutcome, entries_of, find_run, follow_run, read_runs, require_node

    journal = _journal(inventory, cluster)
    chosen = find_run(journal, run)
    if runs:
        _list_runs(read_runs(journal), output)
        return
    if node is not None:
        require_node(journal, chosen, node)
    going_on = follow and chosen.under_way
    happened = follow_run(journal, chosen.id, _pause) if going_on else entries_of(journal, chosen.id)
    try:
        if output is Output.JSON:
            _write_json(happened, node)
        elif not _write_text(chosen, happened, node, verbose):
            typer.echo((RunOutcome.SILENT if going_on else chosen.outcome).value)
    except KeyboardInterrupt:
        # Ctrl-C is the way out of following: nothing was interrupted that would have to go on.
        raise typer.Exit(130) from None


def report(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    cluster: ClusterOption = None,
    run: RunOption = "last",
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where to write the page; - is standard output.")
    ] = DEFAULT_PAGE,
) -> None:
    """Draw a run of apply as one HTML page: what ran when on which node, what it waited for, what failed.

    The page needs nothing beside it, no network and no script: mail it, or keep it with the change. A page that was
    there is replaced. Reaches no node.

    \b
    clusterup report                                     # the last run, as report.html
    clusterup report --run 5f0c2a9e --out monday.html    # an older one; `clusterup events --runs` lists them
    """
    from bootstrap.engine.history import entries_of, find_run
    from bootstrap.engine.timeline import make_timeline
    from bootstrap.errors import BadUse
    from bootstrap.ui.report import report_html
    from bootstrap.written import write

    journal = _journal(inventory, cluster)
    chosen = find_run(journal, run)
    happened = (event for entry in entries_of(journal, chosen.id) if (event := entry.event) is not None)
    page = report_html(make_timeline(chosen, happened), cluster=journal.parent.name).encode()
    if out == STANDARD_OUTPUT:
        # The page says that it is UTF-8, whatever the terminal is.
        unguarded(sys.stdout).buffer.write(page)
        return
    try:
        write(out, page, 0o644)
    except OSError as error:
        raise BadUse(
            f"{out} can't be written",
            step="report",
            got=error.strerror,
            hint="name a file in a folder of yours: --out FILE",
        ) from None
    typer.echo(f"wrote {out}")


def _journal(inventory: Path, cluster: str | None) -> Path:
    """Where the journal is, or would be, of the cluster that was named or that the inventory is about."""
    from bootstrap.state.cluster import ClusterState, state_folder

    if cluster is None:
        from bootstrap.inventory.load import load_inventory

        cluster = load_inventory(inventory).cluster.name
    return ClusterState(state_folder(cluster)).journal


def _list_runs(runs: Sequence[Run], output: Output) -> None:
    from bootstrap.ui.history import run_as_data, run_lines

    if output is Output.JSON:
        typer.echo("\n".join(json.dumps(run_as_data(run)) for run in runs))
    else:
        typer.echo("\n".join(run_lines(runs)))


def _write_json(happened: Iterable[JournalEntry], node: str | None) -> None:
    from bootstrap.ui.history import of_node

    for entry in happened:
        if of_node(entry, node):
            sys.stdout.write(json.dumps(entry.data, sort_keys=True) + "\n")
            sys.stdout.flush()


def _write_text(run: Run, happened: Iterable[JournalEntry], node: str | None, verbose: bool) -> bool:
    """Write it for a person; whether the run's end was among it."""
    from bootstrap.engine.events import RunEnded
    from bootstrap.ui.history import HistoryObserver, of_node
    from bootstrap.ui.plain import Detail

    observe = HistoryObserver(sys.stdout.write, Detail.COMMANDS if verbose else Detail.STEPS, start=run.began)
    ended = False
    for entry in happened:
        event = entry.event
        if event is not None and of_node(entry, node):
            observe(event)
            sys.stdout.flush()
        ended = ended or isinstance(event, RunEnded)
    return ended


def _pause() -> None:
    time.sleep(FOLLOW_EVERY_SECONDS)
