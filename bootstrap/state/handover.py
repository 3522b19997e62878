"""The handover file: what another operator needs to go on with a cluster, kept on every server for root alone.

It holds the cluster's authorities and certificates, the key that its Secrets are encrypted with, the operator's SSH
key, each node's identity, which bundle the nodes are made of, and the inventory as it was applied. Who is root on a
server can sign certificates of administrators and run what they like on every node: the file gives them nothing that
they could not take.

JSON, not a tar: text is all that is in it, and a reader has no links, owners, modes and paths to be careful about but
the names below. The same state, inventory and bundle make the same bytes, so that a second apply finds it equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.constants.paths import HANDOVER
from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.bundle import Bundle
from bootstrap.image.manifest import bundle_of, manifest_of
from bootstrap.inventory.load import parse_inventory
from bootstrap.inventory.model import Inventory
from bootstrap.inventory.text import printable, shown
from bootstrap.outside import parsed_json
from bootstrap.pki.parts import check_part
from bootstrap.protocol.files import NodeFile
from bootstrap.state.cluster import CLUSTER_ID, ENCRYPTION_KEY, HOST_KEY, MACHINE_ID, SSH_KEY, ClusterState

FORMAT = 1
# More than three times what 5,000 nodes need.
LONGEST = 32 << 20

# What makes a cluster this one: made once, never replaced.
ROOTS = (
    CLUSTER_ID,
    SSH_KEY,
    ENCRYPTION_KEY,
    "pki/sa.key",
    "pki/sa.pub",
    *(f"pki/{name}.{kind}" for name in ("ca", "front-proxy-ca", "etcd/ca") for kind in ("crt", "key")),
)
_LABEL = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
# Files of the state folder that are handed over; public halves of SSH keys are made from the private ones.
_PART = re.compile(
    "|".join(
        (
            *(re.escape(name) for name in ROOTS),
            r"pki/operator/(?:admin|etcd)\.(?:crt|key)",
            rf"pki/nodes/{_LABEL}/[a-z-]+\.(?:crt|key)",
            rf"nodes/{_LABEL}/(?:{MACHINE_ID}|{HOST_KEY})",
        )
    )
)


@dataclass(frozen=True)
class Handover:
    """What is handed over. `written` is the inventory's file, comments included; `parts` are files of the state folder
    by their names in it."""

    cluster: str
    written: bytes = field(repr=False)
    bundle: Mapping[str, Any]
    parts: Mapping[str, bytes] = field(repr=False)

    @property
    def cluster_id(self) -> str:
        return self.parts[CLUSTER_ID].decode().strip()

    @property
    def payload(self) -> str:
        """SHA-256 of the payload that the nodes are made of."""
        return bundle_of(Path(), self.bundle).artifact("payload").sha256

    @property
    def inventory(self) -> Inventory:
        """The inventory. Raises BadUse when this version does not understand it."""
        return parse_inventory(Path(f"{self.cluster}.yaml"), self.written)


def handover_of(inventory: Inventory, written: bytes, state: ClusterState, bundle: Bundle) -> Handover:
    """What of the cluster's state is handed over: identities are made where there are none yet, certificates are those
    that are there. What is left of nodes that the inventory no longer has is not among it."""
    parts = {CLUSTER_ID: state.cluster_id.encode(), SSH_KEY: state.ssh_key.private}
    parts[ENCRYPTION_KEY] = f"{state.encryption_key}\n".encode()
    for node in inventory.nodes:
        identity = state.identity(node.name)
        parts[f"nodes/{node.name}/{MACHINE_ID}"] = identity.machine_id.encode()
        parts[f"nodes/{node.name}/{HOST_KEY}"] = identity.host_key.private
    servers = {f"pki/nodes/{server.name}" for server in inventory.servers}
    for name in state.vault.names("pki"):
        folder = name.rpartition("/")[0]
        if _PART.fullmatch(name) and (folder in servers or not folder.startswith("pki/nodes/")):
            parts[name] = state.vault.read(name) or b""
    return Handover(inventory.cluster.name, written, manifest_of(bundle.for_nodes), parts)


def handover_file(handover: Handover) -> NodeFile:
    """The file that servers keep: the same bytes for the same content."""
    data = {
        "format": FORMAT,
        "cluster": handover.cluster,
        "inventory": handover.written.decode(),
        "bundle": handover.bundle,
        "state": {name: content.decode() for name, content in handover.parts.items()},
    }
    return NodeFile(HANDOVER, (json.dumps(data, indent=1, sort_keys=True) + "\n").encode(), 0o600)


def parse_handover(content: bytes, *, node: str) -> Handover:
    """What the file's content says, checked to be whole and to name nothing but files that are handed over.

    `node` is whose file it is, for messages. Raises ClusterupError.
    """
    if len(content) > LONGEST:
        raise _damaged(node, f"longer than {LONGEST >> 20} MiB")
    try:
        data = parsed_json(content)
        if data["format"] != FORMAT:
            raise _unusable(
                node,
                f"has a format that this clusterup doesn't know ({shown(data['format'])})",
                got=f"format {shown(data['format'])}, known is {FORMAT}",
                hint="use the version of clusterup that last applied this cluster, or a newer one",
            )
        handover = Handover(
            _cluster(data["cluster"]),
            data["inventory"].encode(),
            dict(data["bundle"]),
            {str(name): text.encode() for name, text in data["state"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(node, printable(f"{type(error).__name__}: {error}"[:200])) from None
    _check_names(handover, node)
    _check_contents(handover, node)
    return handover


def _cluster(name: Any) -> str:
    """The cluster's name, which becomes a part of paths."""
    if not isinstance(name, str) or not re.fullmatch(_LABEL, name):
        raise ValueError("its cluster has no name that could be one")
    return name


def _check_names(handover: Handover, node: str) -> None:
    foreign = sorted(name for name in handover.parts if not _PART.fullmatch(name))
    if foreign:
        raise _unusable(
            node,
            "holds what is never handed over; nothing of it was used",
            got=", ".join(repr(name[:80]) for name in foreign[:5]),
            hint="somebody tampered with it, or a newer clusterup made it: find out which, before you go on",
        )
    inventory = _inventory(handover, node)
    identities = [f"nodes/{each.name}/{part}" for each in inventory.nodes for part in (MACHINE_ID, HOST_KEY)]
    missing = [name for name in (*ROOTS, *identities) if name not in handover.parts]
    if missing:
        raise _damaged(node, f"lacks {', '.join(missing[:5])}")
    if inventory.cluster.name != handover.cluster:
        raise _damaged(node, f"of the cluster {handover.cluster}, and its inventory is of {inventory.cluster.name}")


def _inventory(handover: Handover, node: str) -> Inventory:
    try:
        return handover.inventory
    except (BadUse, RecursionError) as error:
        raise _unusable(
            node,
            "holds an inventory that this clusterup does not understand",
            got="; ".join(str(error).splitlines()[:5]),
            hint="use the version of clusterup that last applied this cluster, or a newer one",
        ) from None


def _check_contents(handover: Handover, node: str) -> None:
    """Every key and certificate can be read: what would only fail later never gets into the state."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        bundle_of(Path(), handover.bundle).artifact("payload")
    except ClusterupError as error:
        raise _damaged(node, f"its bundle: {error.got or error.problem}") from None
    for name, content in handover.parts.items():
        try:
            check_part(name, content)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _damaged(node, f"{name} can't be read: {error}") from None


def _damaged(node: str, got: str) -> ClusterupError:
    return _unusable(
        node,
        "is damaged",
        got=got,
        hint="adopt from another server; if all are so, apply on a machine that has the cluster's state",
    )


def _unusable(node: str, problem: str, *, got: str, hint: str) -> ClusterupError:
    return ClusterupError(
        f"its handover file {problem}", node=node, step="adopt", tried=f"read {HANDOVER}", got=got, hint=hint
    )
