"""Claims of pods, and volumes that are directories on nodes, as far as a node's agent has to know them.

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bootstrap.constants.objects import PROVISIONER
from bootstrap.node.volumes.quantity import bytes_of

Object = Mapping[str, Any]
# Where a claim waits for the pod that uses it, the scheduler writes down here which node that comes to.
SELECTED = "volume.kubernetes.io/selected-node"
# Who is to make it. Kubernetes before 1.23 writes the second one alone.
ASKED = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
MADE_BY = "pv.kubernetes.io/provisioned-by"
HOSTNAME = "kubernetes.io/hostname"
# A directory is used by pods of one node.
MODES = ("ReadWriteOnce", "ReadWriteOncePod")


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that this provisioner is asked for. `size` is what it asks for as it is written, `node` the one that its
    pod comes to (empty: none yet), `volume` the one that it has (empty: none), `has` the size that it knows of that in
    bytes. `problem` is what no directory can give, in words."""

    namespace: str
    name: str
    uid: str
    storage_class: str
    size: str
    modes: tuple[str, ...]
    node: str
    volume: str
    has: int
    problem: str = ""

    @property
    def wanted(self) -> int:
        """Bytes."""
        return bytes_of(self.size)

    @property
    def volume_name(self) -> str:
        """What its volume is called, the Kubernetes object and the directory; no two claims ever have the same."""
        return f"pvc-{self.uid}"


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of this provisioner, on a disk of `node`. `size` in bytes; `goes` is whether its data is to be deleted
    now."""

    name: str
    node: str
    size: int
    goes: bool


def claim_of(item: Object) -> Claim | None:
    """What is kept of a claim; None for one that is somebody else's. Raises KeyError, TypeError, ValueError."""
    metadata, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    annotations = metadata.get("annotations") or {}
    if PROVISIONER not in (annotations.get(key) for key in ASKED) or metadata.get("deletionTimestamp"):
        return None
    size = str(spec["resources"]["requests"]["storage"])
    bytes_of(size)
    return Claim(
        namespace=str(metadata["namespace"]),
        name=str(metadata["name"]),
        uid=str(metadata["uid"]),
        storage_class=str(spec.get("storageClassName") or ""),
        size=size,
        modes=tuple(map(str, spec.get("accessModes") or ())),
        node=str(annotations.get(SELECTED) or ""),
        volume=str(spec.get("volumeName") or ""),
        has=bytes_of(str((status.get("capacity") or {}).get("storage") or "0")),
        problem=_problem(spec),
    )


def _problem(spec: Object) -> str:
    others = [mode for mode in spec.get("accessModes") or () if mode not in MODES]
    if others:
        return f"a directory on one node is used by pods of that node alone, and the claim asks for {', '.join(others)}"
    if (spec.get("volumeMode") or "Filesystem") != "Filesystem":
        return "it is a directory, and the claim asks for a block device (volumeMode)"
    if spec.get("selector"):
        return "the claim selects a volume that is there already (selector), and this one would be new"
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        return "it begins empty, and the claim asks for a copy (dataSource)"
    return ""


def volume_of(item: Object) -> Volume | None:
    """What is kept of a volume; None for one that is somebody else's. Raises KeyError, TypeError, ValueError."""
    metadata, spec = item["metadata"], item["spec"]
    if (metadata.get("annotations") or {}).get(MADE_BY) != PROVISIONER or "local" not in spec:
        return None
    phase = (item.get("status") or {}).get("phase")
    return Volume(
        name=str(metadata["name"]),
        node=_node_of(spec),
        size=bytes_of(str(spec["capacity"]["storage"])),
        goes=phase == "Released" and spec.get("persistentVolumeReclaimPolicy") == "Delete",
    )


def _node_of(spec: Object) -> str:
    """The one node that its affinity names, as `manifest` writes it. Raises KeyError, ValueError."""
    for term in spec["nodeAffinity"]["required"]["nodeSelectorTerms"]:
        for each in term.get("matchExpressions") or ():
            if each.get("key") == HOSTNAME and each.get("operator") == "In" and len(each["values"]) == 1:
                return str(each["values"][0])
    raise ValueError("it is on no single node")


def manifest(claim: Claim, node: str, path: str, reclaim: str) -> dict[str, Any]:
    """The volume that a claim gets: a directory of that node. `reclaim` is Delete or Retain."""
    reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "name": claim.name}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": claim.volume_name, "annotations": {MADE_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim.size},
            "accessModes": list(claim.modes),
            "persistentVolumeReclaimPolicy": reclaim,
            "storageClassName": claim.storage_class,
            "volumeMode": "Filesystem",
            "claimRef": {**reference, "namespace": claim.namespace, "uid": claim.uid},
            "local": {"path": path},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [node]}]}]
                }
            },
        },
    }
