"""Everything that a report of a fault needs: what is known here, what the nodes say, what the API says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from bootstrap import __version__
from bootstrap.clients.tunnel import ApiServers, any_api
from bootstrap.engine.connections import Connections
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.host.build_info import build_info, version_words
from bootstrap.operations.intent import Intent
from bootstrap.operations.self_test import checks, programs
from bootstrap.operations.status import cluster_status
from bootstrap.support.node import node_parts
from bootstrap.support.objects import KINDS, objects_of
from bootstrap.support.secrets import Scrubber, known_secrets
from bootstrap.system_errors import as_error

# Of a journal or a console's log, its newest bytes.
NEWEST = 2 << 20
Say = Callable[[str], None]
Files = Iterator[tuple[str, str]]


def scrubber_of(intent: Intent) -> Scrubber:
    """What takes the cluster's secrets out of text. Raises OSError."""
    return Scrubber(known_secrets(intent.state.folder))


def collected(intent: Intent, connections: Connections, *, parallel: int, say: Say) -> Files:
    """Files by their names, and what stands in them; secrets are still in it. What can't be had is said in the place of
    it."""
    yield from _of_this_machine(intent)
    say("asking for the cluster's state")
    yield "status.json", _tried(lambda: _json(asdict(cluster_status(intent, connections, parallel=parallel))))
    names = [node.name for node in intent.everybody.nodes]
    say(f"asking {len(names)} nodes")
    with asking(min(parallel, len(names)), "support") as pool:
        for name, parts in zip(names, pool.map(lambda name: _of_a_node(connections, name), names), strict=True):
            for part, text in parts.items():
                yield f"nodes/{name}/{part}", text
    say("asking the API")
    yield from _of_the_api(intent, connections)


def _of_this_machine(intent: Intent) -> Files:
    whole = [asdict(each) for each in checks()]
    here = {"checks": whole, "programs": [asdict(each) for each in programs()]}
    yield "clusterup.txt", f"{version_words(__version__, build_info())}\n"
    yield "self-test.json", _json(here)
    yield "inventory.yaml", intent.written.decode(errors="backslashreplace")
    yield "bundle.json", _json({name: part.components for name, part in intent.bundle.artifacts.items()})
    for file in (intent.state.journal, intent.state.roll):
        if file.exists():
            yield f"state/{file.name}", _tried(lambda file=file: _end_of(file))  # type: ignore[misc]
    listed = sorted(str(file.relative_to(intent.state.folder)) for file in intent.state.folder.rglob("*"))
    yield "state/files.txt", "".join(f"{name}\n" for name in listed)


def _of_a_node(connections: Connections, name: str) -> dict[str, str]:
    try:
        return node_parts(connections.on(name))
    except Exception as error:
        return {"error.txt": f"{as_error(error, node=name, step='support')}\n"}


def _of_the_api(intent: Intent, connections: Connections) -> Files:
    try:
        with any_api(connections, ApiServers(intent.inventory.cluster.name, tuple(intent.servers), intent.keys)) as api:
            for kind in KINDS:
                yield f"api/{kind}.json", _tried(lambda kind=kind: _json(objects_of(api, kind)))  # type: ignore[misc]
    except ClusterupError as error:
        yield "api/error.txt", f"{error}\n"


def _end_of(file: Path) -> str:
    with file.open("rb") as handle:
        handle.seek(-min(NEWEST, handle.seek(0, 2)), 2)
        return handle.read().decode(errors="backslashreplace")


def _tried(make: Callable[[], str]) -> str:
    try:
        return make()
    except Exception as error:
        return f"{as_error(error, step='support')}\n"


def _json(data: object) -> str:
    return json.dumps(data, indent=1, default=str) + "\n"
