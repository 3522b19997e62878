"""clusterup support."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootstrap.cli.options import DEFAULT_INVENTORY, InventoryFile, ParallelOption, file_of


def register(app: typer.Typer) -> None:
    """Add support to `app`."""
    app.command()(support)


def support(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=file_of,
            metavar="FILE",
            help="The file to write. Default: CLUSTER-support-TIME.tar.gz here.",
            show_default=False,
        ),
    ] = None,
    parallel: ParallelOption = 16,
) -> None:
    """Collect what somebody needs who is to find a fault, in one file (mode 0600).

    Nodes say how they are and what their services wrote; the API says what there is. What can't be reached is said in
    the file. The cluster's keys and tokens are taken out, and what looks like one; names and addresses stay. Nothing is
    changed anywhere, and nothing is sent to anybody: look through it, then give it away.
    """
    from datetime import UTC, datetime

    from bootstrap.cli.front import person, say
    from bootstrap.engine.events import unobserved
    from bootstrap.errors import BadUse
    from bootstrap.operations.connections import connections_of
    from bootstrap.operations.reading import intent_of_made
    from bootstrap.support.archive import support_archive
    from bootstrap.support.collect import collected, scrubber_of
    from bootstrap.written import write

    intent = intent_of_made(inventory)
    cluster = intent.inventory.cluster.name
    top = f"{cluster}-support-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    target = out or Path(f"{top}.tar.gz")
    with connections_of(intent, unobserved, person()) as connections:
        files = collected(intent, connections, parallel=parallel, say=say)
        content = support_archive(cluster, top, files, scrubber_of(intent))
    try:
        write(target, content)
    except OSError as error:
        raise BadUse(
            f"{target} can't be written",
            step="support",
            got=error.strerror or str(error),
            hint="name a file in a folder of yours: --out FILE",
        ) from None
    typer.echo(f"wrote {target}, {len(content) / 1e6:.1f} MB")
