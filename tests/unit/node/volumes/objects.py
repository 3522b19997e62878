"""Claims and volumes as an API server has them."""

from __future__ import annotations

from typing import Any

UID = "0f7a2c1e-1111-2222-3333-444455556666"
NAME = f"pvc-{UID}"
PROVISIONER = "clusterup.dev/local"


def claim(
    *, size: str = "1Gi", node: str = "n1", volume: str = "", has: str = "", uid: str = UID, **spec: Any
) -> dict[str, Any]:
    """A claim of the class `local`; `node` is the one that the scheduler chose."""
    annotations = {"volume.beta.kubernetes.io/storage-provisioner": PROVISIONER}
    if node:
        annotations["volume.kubernetes.io/selected-node"] = node
    status = {"phase": "Bound", "capacity": {"storage": has}} if has else {"phase": "Pending"}
    return {
        "metadata": {"name": "data", "namespace": "default", "uid": uid, "annotations": annotations},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            "storageClassName": "local",
            "volumeName": volume,
            **spec,
        },
        "status": status,
    }


def volume(
    *, size: str = "1Gi", node: str = "n1", phase: str = "Bound", reclaim: str = "Delete", uid: str = UID
) -> dict[str, Any]:
    """The volume of such a claim."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "metadata": {"name": f"pvc-{uid}", "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": size},
            "claimRef": {"uid": uid, "namespace": "default", "name": "data"},
            "local": {"path": f"/var/lib/clusterup/volumes/pvc-{uid}"},
            "persistentVolumeReclaimPolicy": reclaim,
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
        },
        "status": {"phase": phase},
    }
