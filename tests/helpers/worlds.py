"""Inventories, intents and worlds that several tests of steps start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bootstrap.facts.model import ApiFacts, ClusterFacts, EtcdFacts, EtcdMemberFacts, NodeFacts, UnitFacts
from bootstrap.image.bundle import Bundle, Partition
from bootstrap.image.files import bundle_as_data
from bootstrap.image.manifest import write_manifest
from bootstrap.inventory.load import parse_inventory
from bootstrap.inventory.model import Inventory
from bootstrap.machine.objects import object_key
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.phases.node_metadata import node_patch
from bootstrap.phases.pinned import pin
from bootstrap.spec.node import Desired
from bootstrap.state.cluster import ClusterState

# What the payloads of tests say that they are.
COMPONENTS = {"etcd": "3.5.30", "kubernetes": "1.20.2", "quota": "4.09", "unbound": "1.26.2"}


def written(**cluster: object) -> bytes:
    """The file of `inventory`."""
    document = {
        "cluster": {"name": "lab", **cluster},
        "nodes": [
            {"name": f"s{n}", "role": "server", "address": f"10.77.0.{10 + n}", "disk": "/dev/vda"} for n in (1, 2, 3)
        ]
        + [{"name": "a1", "address": "10.77.0.21", "disk": "/dev/vda", "labels": {"disk": "ssd"}}],
    }
    return f"# Three servers and an agent.\n{json.dumps(document)}\n".encode()


def inventory(**cluster: object) -> Inventory:
    """Three servers and an agent."""
    return parse_inventory(Path("lab.yaml"), written(**cluster))


def bundle(folder: Path, payload: bytes = b"payload") -> Bundle:
    """A bundle of small files."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"os.raw.zst": b"os", "payload.raw": payload, "pause.tar": b"pause"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    artifacts = [
        bundle_as_data("os", folder / "os.raw.zst", partitions=(Partition("CLUSTERUP", 1 << 20, 1 << 20),)),
        bundle_as_data("payload", folder / "payload.raw", components=COMPONENTS),
        bundle_as_data("image/pause", folder / "pause.tar", reference="clusterup.local/pause:1"),
    ]
    made = Bundle(folder, "1", {artifact.name: artifact for artifact in artifacts})
    write_manifest(made)
    return made


def intent(folder: Path, **cluster: object) -> Intent:
    """What `inventory` comes to for an operator who keeps its keys, in a state below `folder`."""
    return keeping(new_intent(folder, **cluster))


def new_intent(folder: Path, **cluster: object) -> Intent:
    """The same for an operator who has nothing of it yet."""
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    return intent_of(
        inventory(**cluster),
        ClusterState(state),
        bundle(folder / "bundle"),
        folder / "lab.kubeconfig",
        written=written(**cluster),
    )


def keeping(of: Intent) -> Intent:
    """The same, when its keys are kept."""
    of.state.keep_made()
    pin(of.state, of.inventory, of.bundle)
    return of


def facts(**changes: Any) -> NodeFacts:
    """A machine in the live environment."""
    given: dict[str, Any] = {
        "hostname": "x",
        "kind": "live",
        "machine_id": "",
        "boot_id": "b",
        "skew": 0.0,
        "memory": 2 << 30,
        "cpus": 2,
        "architecture": "x86_64",
        "uefi": True,
    }
    return NodeFacts(**{**given, **changes})


def finished(desired: Desired, cluster_id: str) -> NodeFacts:
    """A node on which everything is as wanted."""
    hashes = {file.path: file.sha256 for file in desired.files}
    hashes |= {f"/var/lib/clusterup{path}": digest for path, digest in hashes.items()}
    hashes |= {file.path: file.sha256 for file in (desired.handover,) if file}
    images = {f"/var/lib/clusterup/images/{i.name.removeprefix('image/')}.tar": i.sha256 for i in desired.images}
    return facts(
        kind="installed",
        machine_id=desired.node.name,
        cluster_id=cluster_id,
        payload=desired.payload.sha256,
        etcd_data=bool(desired.etcd),
        modes={path: file.mode for file in desired.files for path in (file.path, f"/var/lib/clusterup{file.path}")},
        files={**hashes, **images, "/var/lib/kubelet/pki/kubelet-client-current.pem": "x"},
        units={unit.name: UnitFacts("active", unit.digest) for unit in desired.units},
        traces=("/var/lib/clusterup/etc", "/var/lib/kubelet"),
    )


def finished_world(of: Intent) -> ClusterFacts:
    """A cluster on which everything is as wanted, apart from the operator's own files."""
    members = tuple(EtcdMemberFacts(n, name, (), learner=False) for n, name in enumerate(of.servers))
    nodes = {
        f"Node/{name}": {
            **node_patch(desired.node, {"metadata": {"name": name, "resourceVersion": "1"}}),
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        for name, desired in of.nodes.items()
    }
    objects = {**nodes, **{object_key(manifest): manifest for manifest in of.objects}}
    return ClusterFacts(
        {name: finished(desired, of.state.cluster_id) for name, desired in of.nodes.items()},
        etcd=EtcdFacts(members),
        api=ApiFacts(dict.fromkeys(of.nodes, True), objects),
    )
