"""Objects of clusterup's that an inventory may do without, and those of somebody else in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bootstrap.constants.objects import DNS_NAMESPACE, DNS_SERVICE, KEPT_LABEL, NODE_VOLUMES, STORAGE_CLASS
from bootstrap.errors import Refused
from bootstrap.machine.objects import Manifest, object_key

DNS_KEY = f"Service/{DNS_NAMESPACE}/{DNS_SERVICE}"
CLASS_KEY = f"StorageClass/{STORAGE_CLASS}"
# Kind, name and namespace of what one inventory asks for, and another one not; what gives rights goes last.
OPTIONAL = (
    ("Service", DNS_SERVICE, DNS_NAMESPACE),
    ("StorageClass", STORAGE_CLASS, None),
    ("ClusterRoleBinding", NODE_VOLUMES, None),
    ("ClusterRole", NODE_VOLUMES, None),
)


def key_of(kind: str, name: str, namespace: str | None) -> str:
    """As `object_key`."""
    return "/".join(part for part in (kind, namespace, name) if part)


def is_ours(found: Mapping[str, Any] | None) -> bool:
    """Whether clusterup keeps an object that is there."""
    labels = (found or {}).get("metadata", {}).get("labels") or {}
    return all(labels.get(key) == value for key, value in KEPT_LABEL.items())


def wants(objects: Sequence[Manifest], key: str) -> bool:
    """Whether clusterup keeps such an object in the cluster."""
    return any(object_key(manifest) == key for manifest in objects)


def somebody_elses(key: str, found: Mapping[str, Any] | None) -> Refused | None:
    """That what would be put there, by its key, is somebody else's already, who would lose it without a word; None
    where it is not."""
    if found is None or is_ours(found):
        return None
    if key == DNS_KEY:
        return Refused(
            "somebody else answers for the cluster's names",
            step="preflight",
            tried="look who has the address of the cluster's DNS",
            got=f"a Service {DNS_NAMESPACE}/{DNS_SERVICE} that clusterup did not make",
            hint="if that is to stay so (CoreDNS of yours): write `dns: none` into the inventory; if the nodes are to "
            f"answer: kubectl -n {DNS_NAMESPACE} delete service {DNS_SERVICE}, then run the command again",
        )
    if key == CLASS_KEY:
        return Refused(
            f"there is a storage class {STORAGE_CLASS} of somebody else's",
            step="preflight",
            tried="look who makes volumes of that class",
            got=str(found.get("provisioner") or "nobody that it names"),
            hint="if that is to stay so: write `volumes: none` into the inventory; if the nodes are to make volumes: "
            f"kubectl delete storageclass {STORAGE_CLASS} (volumes that exist stay), then run the command again",
        )
    return None
