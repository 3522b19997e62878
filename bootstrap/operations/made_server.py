"""What is made for one server that joins by itself: everything that it will hold and run, its own keys among it.

Format 1 of bootstrap/protocol/join_manifest.py, compressed, with one key more, `server`:

    name, address   whose it is
    etcd            [{name, reads}]: its units, as `runtime` has them
    control_plane   [{name, reads}]: the same, in the order in which they start
    handover        the file that servers keep for operators, once they have their vote
    node            what is merged into its Node: a server's labels, and which of them came from the inventory
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Iterator, Sequence
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.objects import JOIN_MANIFEST as AGENT
from bootstrap.constants.objects import JOIN_MANIFEST_KEY as AGENT_KEY
from bootstrap.constants.paths import TRUSTED_KEYS
from bootstrap.constants.tokens import TOKENS_NAMESPACE
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.failures import in_own_words
from bootstrap.inventory.model import Role
from bootstrap.machine.units import Runs
from bootstrap.operations.intent import Intent
from bootstrap.operations.planning import installation_of
from bootstrap.phases.node_metadata import given_by, labels_of
from bootstrap.protocol.files import NodeFile
from bootstrap.protocol.join_manifest import DescribedFile, DescribedUnit, parse_description
from bootstrap.spec.join_manifest_build import describe_agent
from bootstrap.spec.node import Desired

STEP = "token"
# Of a node's configuration: who it is, and who may come in. Its network is the machine's own matter by now.
_OWN = ("clusterup/", "ssh/")


def check_may_join(api: KubeClient, intent: Intent, name: str) -> None:
    """Raise BadUse or Refused where the server `name` can't join by itself: it is not in the inventory, it is there
    already, or the cluster's nodes run something else than what would be made for it here."""
    listed = {node.name: node for node in intent.inventory.nodes}
    if name not in listed or listed[name].role is not Role.SERVER:
        raise BadUse(
            f"the inventory has no server {name}",
            step=STEP,
            tried="look for what the token is to be made for",
            got=f"{name} is an agent there" if name in listed else f"servers: {', '.join(intent.servers)}",
            hint="add it to the inventory, with its role and its address; no other node has to hear of it before",
        )
    if api.get("Node", name) is not None:
        raise Refused(
            f"{name} is a node of the cluster already",
            node=name,
            step=STEP,
            tried="look for its Node",
            hint="`clusterup apply` fixes it, `clusterup remove` takes out one that is gone for good",
        )
    found = api.get("ConfigMap", AGENT, TOKENS_NAMESPACE)
    with in_own_words("join"):
        theirs = parse_description(str((found.get("data") or {}).get(AGENT_KEY))) if found else None
    ours = describe_agent(intent.inventory, intent.bundle, intent.credentials)
    if (listed[name].architecture or intent.bundle.architecture) != intent.bundle.architecture:
        raise Refused(
            f"{name} can't join by itself: it is {listed[name].architecture}",
            node=name,
            step=STEP,
            tried="compare its architecture with what servers hand out",
            got=f"that is for {intent.bundle.architecture}",
            hint="`clusterup apply` makes a server of it",
        )
    if theirs is None or (theirs.payload, theirs.images) != (ours.payload, ours.images):
        raise Refused(
            "the cluster's nodes are not made of the bundle here",
            step=STEP,
            tried="compare its payload and images with what the cluster says of its nodes",
            got=f"payload {theirs.payload.sha256[:12]} there, {ours.payload.sha256[:12]} here" if theirs else "nothing",
            hint="`clusterup apply` first, without the new server in the inventory",
        )


def made_server(intent: Intent, name: str) -> bytes:
    """What is made for the server `name` of the inventory, gzip over JSON. Raises ClusterupError."""
    desired = intent.nodes[name]
    if desired.handover is None:
        raise ClusterupError(f"nothing is handed over to {name}", node=name, step=STEP, hint="is it a server?")
    base = describe_agent(intent.inventory, intent.bundle, intent.credentials)
    files = (*desired.files, *_identity(intent, name))
    described = dataclasses.replace(
        base,
        files=tuple(DescribedFile(file.path, file.mode, file.content.decode()) for file in files),
        runtime=_units(desired.runtime),
        kubelet=_units(desired.kubelet),
        servers={server: address for server, address in base.servers.items() if server != name},
    )
    own = {
        "name": name,
        "address": str(desired.node.address),
        "etcd": [dataclasses.asdict(unit) for unit in _units(desired.etcd)],
        "control_plane": [dataclasses.asdict(unit) for unit in _units(desired.control_plane)],
        "handover": desired.handover.content.decode(),
        "node": _on_node(desired),
    }
    text = json.dumps({**json.loads(described.text), "server": own}, sort_keys=True)
    return gzip.compress(text.encode(), mtime=0)


def _identity(intent: Intent, name: str) -> Iterator[NodeFile]:
    """What makes it this node to who reaches it later: the key that it shows, and the keys that it lets in."""
    for file in installation_of(intent).etc(name):
        # Whom a machine trusts came with its own installation.
        if file.path.startswith(_OWN) and f"/etc/{file.path}" != TRUSTED_KEYS:
            yield NodeFile(f"/etc/{file.path}", file.content, file.mode)


def _units(units: Sequence[Runs]) -> tuple[DescribedUnit, ...]:
    return tuple(DescribedUnit(unit.name, unit.reads) for unit in units)


def _on_node(desired: Desired) -> dict[str, Any]:
    return {"metadata": {"labels": labels_of(desired.node), "annotations": given_by(desired.node)}}
