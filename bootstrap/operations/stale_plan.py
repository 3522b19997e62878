"""What a plan rests on, as plain words: the facts that would make another plan if they were different.

What changes by itself (clocks, the times units were started, a Node's last sign of life) is left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bootstrap.facts.disks import described
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.manifests.model import ManifestFacts
from bootstrap.operations.intent import Intent
from bootstrap.state.cluster import CLUSTER_ID

SHORT = 12
# What a saved plan calls the nodes that are to leave.
LEAVING = "leaving"


def facts_as_data(world: ClusterFacts) -> dict[str, dict[str, str]]:
    """The facts by node, those of etcd and of the API under "etcd" and "api"; hashes are shortened to 12 digits."""
    found = {name: _node(facts) for name, facts in world.nodes.items()}
    found |= {name: {"the way in": f"none: {error.problem}"} for name, error in world.unreachable.items()}
    found |= {name: _node(facts) for name, facts in world.leaving.items()}
    found |= {name: {"the way in": f"none: {error.problem}"} for name, error in world.away.items()}
    if world.etcd is not None:
        found["etcd"] = {
            f"member {member.name or member.peer_urls[0]}": "a learner" if member.learner else "a voter"
            for member in world.etcd.members
        }
    if world.api is not None:
        found["api"] = {name: _object(thing) for name, thing in world.api.objects.items()}
    if world.manifests is not None:
        found["manifests"] = dict(_brought(world.manifests))
    return found


def _brought(manifests: ManifestFacts) -> Iterator[tuple[str, str]]:
    for name, entry in manifests.entries.items():
        for each in entry.objects:
            if not each.as_wanted:
                yield f"{each.key} of {name}", "; ".join(each.differences) or each.trouble or "not there"
    for leftover in manifests.leftovers:
        yield f"{leftover.kept.key} of none", leftover.stays or ("there" if leftover.there else "not there")


def about(intent: Intent, inventory: Path) -> dict[str, str]:
    """What a plan is for: the inventory's file and what it said when it was read, the bundle, and the cluster."""
    return {
        "inventory": str(inventory.absolute()),
        "the inventory's content": hashlib.sha256(intent.written).hexdigest()[:SHORT],
        "bundle": intent.bundle.version,
        "payload": intent.bundle.artifact("payload").sha256[:SHORT],
        **{
            f"payload for {name}": intent.bundle.for_architecture(name).artifact("payload").sha256[:SHORT]
            for name in intent.bundle.architectures[1:]
        },
        "cluster": "a new one" if CLUSTER_ID in intent.state.vault.made else intent.state.cluster_id,
        **{f"manifests {each.name}": each.digest[:SHORT] for each in intent.manifests or ()},
        **({LEAVING: ", ".join(each.name for each in intent.leaving)} if intent.leaving else {}),
    }


def _node(facts: NodeFacts) -> dict[str, str]:
    return {
        "the system": f"{facts.kind} {facts.os_version or ''}".strip(),
        "machine id": facts.machine_id,
        "cluster": facts.cluster_id or "none",
        "payload": (facts.payload or "none")[:SHORT],
        "etcd's data": "there" if facts.etcd_data else "none",
        **{f"disk {disk.path}": described(disk) for disk in facts.disks},
        **{f"file {path}": digest[:SHORT] for path, digest in sorted(facts.files.items())},
        **{f"unit {name}": f"{unit.active} {(unit.applied or '')[:SHORT]}" for name, unit in facts.units.items()},
    }


def _object(found: Mapping[str, Any]) -> str:
    metadata = found.get("metadata", {})
    if found.get("kind") == "Node" or "status" in found:
        conditions = found.get("status", {}).get("conditions", [])
        ready = [entry.get("status") for entry in conditions if entry.get("type") == "Ready"]
        wanted = {"ready": ready, "labels": metadata.get("labels"), "taints": found.get("spec", {}).get("taints")}
    else:
        wanted = {key: value for key, value in found.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:SHORT]
