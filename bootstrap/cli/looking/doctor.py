"""clusterup doctor."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bootstrap.cli.options import DEFAULT_INVENTORY, InventoryFile, Output, ParallelOption
from bootstrap.outside import below, on_one_line

if TYPE_CHECKING:
    from bootstrap.doctor.findings import Examined, Finding


def register(app: typer.Typer) -> None:
    """Add doctor to `app`."""
    app.command()(doctor)


def doctor(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    parallel: ParallelOption = 32,
) -> None:
    """Say what is wrong with a cluster and its nodes, why, and which command mends it. Changes nothing.

    Looks at this machine (programs, authorities), at each node (the way into it, clock, memory, disks, services,
    routes, name servers, certificates) and at the cluster (etcd's votes, alarms and room, API servers, Nodes, releases,
    and what an apply would do). A fault is what does not work, a warning what will not for long.

    Exit code 0 without a fault, 3 with one, 1 when no node can be reached.
    """
    from datetime import UTC, datetime

    from bootstrap.cli.front import person
    from bootstrap.doctor.examine import examined
    from bootstrap.doctor.person import Person
    from bootstrap.engine.events import unobserved
    from bootstrap.operations.connections import connections_of
    from bootstrap.operations.reading import intent_of_file

    intent = intent_of_file(inventory, None)
    with connections_of(intent, unobserved, person()) as connections:
        found = examined(
            intent, connections, Person(shlex.quote(str(inventory))), parallel=parallel, now=datetime.now(UTC)
        )
    if output is Output.JSON:
        sys.stdout.write(json.dumps(found.as_data(), indent=1) + "\n")
    else:
        typer.echo("\n".join(_lines(found)))
    if found.none_reached:
        raise typer.Exit(1)
    if found.faults:
        raise typer.Exit(3)


def _lines(found: Examined) -> Iterator[str]:
    from bootstrap.ui.review import number_of

    yield "looked at"
    for where, about in found.looked_at:
        yield on_one_line(f"  {where}: {', '.join(about)}")
    for finding in found.findings:
        yield ""
        yield from _finding(finding)
    yield ""
    warnings = len(found.findings) - found.faults
    yield (
        f"{number_of(found.faults, 'fault')}, {number_of(warnings, 'warning')}"
        if found.findings
        else "nothing is wrong"
    )


def _finding(finding: Finding) -> Iterator[str]:
    yield on_one_line(f"{finding.weight.value}: {finding.where}: {finding.about}: {finding.what}")
    for label, text in (("why", finding.why), ("next", finding.mend)):
        if text:
            yield below(f"  {label}: ", text)
