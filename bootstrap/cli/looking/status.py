"""clusterup status, verify, kubeconfig."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from bootstrap.cli.options import (
    DEFAULT_INVENTORY,
    STANDARD_OUTPUT,
    Document,
    InventoryFile,
    Output,
    host_name_of,
    seconds_of,
)
from bootstrap.outside import on_one_line

PODS_COME_UP = 300.0
"""How long pods may take, in seconds."""


A_DAY = timedelta(days=1)


def register(app: typer.Typer) -> None:
    """Add status and kubeconfig to `app`."""
    app.command()(status)
    app.command()(verify)
    app.command()(kubeconfig)


def status(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    parallel: Annotated[
        int, typer.Option("--parallel", min=1, metavar="N", help="How many nodes are asked at once.")
    ] = 32,
) -> None:
    """Show what is there: nodes, roles, versions, the quorum with leader and lag, the API servers.

    Exit code 0 when all of it is healthy, 3 when some of it is not, 1 when no node can be reached.
    """
    from bootstrap.cli.front import person
    from bootstrap.engine.events import unobserved
    from bootstrap.operations.connections import connections_of
    from bootstrap.operations.reading import intent_of_file
    from bootstrap.operations.status import cluster_status

    intent = intent_of_file(inventory, None)
    with connections_of(intent, unobserved, person()) as connections:
        found = cluster_status(intent, connections, parallel=parallel)
    if output is Output.JSON:
        sys.stdout.write(json.dumps(found.as_data(), indent=1) + "\n")
    else:
        from bootstrap.ui.status import print_status
        from bootstrap.ui.terminal import SafeConsole

        print_status(found, SafeConsole())
    if not found.healthy:
        raise typer.Exit(1 if all(node.state == "unreachable" for node in found.nodes) else 3)


def verify(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", parser=seconds_of, metavar="TIME", help="How long pods may take to come up. Default: 5m."
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            parser=host_name_of,
            metavar="NAME",
            help="Look up this name as well, as in www.example.org. Repeatable.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """Prove that the cluster works: a pod on each Ready node fetches a page from a pod on each of them, and the API
    through the service address, and finds names: of a Service, of a headless one, and those of --name. Where the
    nodes make volumes, one on each is written, and read by another pod.

    Goes the way that your kubectl goes: over the kubeconfig's endpoint, with TLS verified. Removes its pods at the end.
    """
    from bootstrap.operations.clients import endpoint_client
    from bootstrap.operations.reading import intent_of_made
    from bootstrap.operations.verify import names_to_find, ready_nodes, verify_cluster
    from bootstrap.spec.dns import answers
    from bootstrap.spec.volumes import provides

    intent = intent_of_made(inventory)
    own = names_to_find(intent.inventory.cluster.domain) if answers(intent.inventory, intent.bundle.versions) else ()
    names = (*own, *(name or ()))

    def say(text: str) -> None:
        typer.echo(on_one_line(text), err=True)

    with endpoint_client(intent) as client:
        longest = PODS_COME_UP if timeout is None else timeout
        nodes = ready_nodes(client, longest)
        claiming = nodes if provides(intent.inventory, intent.bundle.versions) else []
        fetches = verify_cluster(client, nodes, names=names, claiming=claiming, timeout=longest, say=say)
    if output is Output.JSON:
        rows = [
            {
                "from": fetch.source,
                "to": fetch.target,
                "fetched": fetch.fetched,
                "milliseconds": fetch.milliseconds if fetch.fetched else None,
            }
            for fetch in fetches
        ]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        for fetch in fetches:
            typer.echo(on_one_line(fetch.in_words))
    if len(fetches) != len(nodes) * (len(nodes) + 1 + len(names)) + len(claiming) or not all(
        fetch.fetched for fetch in fetches
    ):
        raise typer.Exit(1)


def kubeconfig(
    inventory: InventoryFile = DEFAULT_INVENTORY,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file, mode 0600.")] = None,
    output: Annotated[Document, typer.Option("--output", "-o", help="yaml or json.")] = Document.YAML,
    merge: Annotated[
        bool, typer.Option("--merge", help="Put it into your own kubeconfig ($KUBECONFIG or ~/.kube/config).")
    ] = False,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="NAME", help="Make one for somebody else.", show_default=False),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="A group of that user. Repeatable.", show_default=False),
    ] = None,
    expires: Annotated[
        float | None,
        typer.Option(
            "--expires",
            parser=seconds_of,
            metavar="TIME",
            help="How long theirs is good: 90m, 24h (the default), 7d; a year at most.",
        ),
    ] = None,
) -> None:
    """Print the kubeconfig, write it to a file, or merge it into your own. Reaches no node.

    It opens the whole cluster: keep it to yourself. Entries of other clusters stay as they are when it is merged; where
    another cluster has the same name, you are asked.

    With --user it is somebody else's, with a certificate that is made now and kept nowhere. Nobody can take it back
    before it ends. They may do nothing until a RoleBinding or ClusterRoleBinding of yours names them, or a group.
    """
    from bootstrap.cli.front import confirm_replacing, merge_into_own, replaced_by_merging
    from bootstrap.errors import BadUse
    from bootstrap.operations.reading import intent_of_made
    from bootstrap.phases.kubeconfig import admin_kubeconfig, user_kubeconfig
    from bootstrap.pki.kubeconfig import to_yaml, unwritable
    from bootstrap.written import write_private

    if user is None and (group or expires is not None):
        raise BadUse(
            f"{'--group' if group else '--expires'} is for somebody else's",
            step="kubeconfig",
            hint="say whose: --user NAME",
        )
    if user is not None and merge:
        raise BadUse(
            "--merge and --user exclude each other",
            step="kubeconfig",
            hint="write it to a file: --user NAME --out FILE",
        )
    intent = intent_of_made(inventory)
    valid = A_DAY if expires is None else timedelta(seconds=expires)
    if user is None:
        made = admin_kubeconfig(intent.inventory, intent.keys)
    else:
        made = user_kubeconfig(intent.inventory, intent.keys, user, group or (), valid)
    content = to_yaml(made) if output is Document.YAML else json.dumps(made, indent=1).encode() + b"\n"
    if merge:
        others = replaced_by_merging(intent)
        confirm_replacing(others)
        merge_into_own(intent, others)
    if out is not None and out != STANDARD_OUTPUT:
        with unwritable(out):
            write_private(out, content)
        typer.echo(f"wrote {out}", err=True)
    elif not merge or out is not None:
        sys.stdout.write(content.decode())
