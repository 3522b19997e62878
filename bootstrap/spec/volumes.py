"""Volumes on the nodes' own disks: the class of storage, and what the agents of nodes may do for it.

A node's agent shows the kubelet's certificate, and may make volumes for all claims of the cluster by what roles can
say. Where Kubernetes can say more (1.30 and newer), each may make and delete those of its own node, in its own folder,
and no others: a node that was taken over reaches no other node's files by a volume.
Source: https://kubernetes.io/docs/concepts/storage/storage-classes/,
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from bootstrap.constants.objects import NODE_VOLUMES, PROVISIONER, RBAC_GROUP, STORAGE_CLASS
from bootstrap.constants.paths import VOLUMES, VOLUMES_MOUNT
from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Inventory
from bootstrap.machine.objects import Manifest
from bootstrap.machine.units import Unit
from bootstrap.paths import templates_dir
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.topology import Shape

POLICY = "clusterup-node-volumes"
NAME = "clusterup-volumes.service"
# An ext4 has labels of 16 bytes at most.
LABEL = "clusterup-volume"
NODES_GROUP = "system:nodes"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#pv-kubernetes-io-provisioned-by
MADE_BY = "pv.kubernetes.io/provisioned-by"
# Policies of admission are stable from then on.
POLICIES = 30


def provides(inventory: Inventory, versions: Versions) -> bool:
    """Whether the nodes make volumes; somebody else does otherwise, or nobody."""
    return inventory.volumes.by == "nodes" and versions.quota


def disk_for_volumes(shape: Shape) -> str | None:
    """The further disk on which the node keeps volumes, as the inventory names it; None where there is none. It is
    mounted whoever makes new volumes: there may be old ones on it."""
    return shape.node.volumes.disk if shape.versions.quota else None


def file_system(ca: NodeFile, node: str) -> uuid.UUID:
    """What the file system for volumes of that node is known by: another cluster's is not taken for it. `ca` is the
    certificate of the cluster's authority."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{ca.sha256} {node}")


def volumes_unit(shape: Shape, ca: NodeFile) -> Unit:
    """The mount of the further disk, which is tried again and again where the disk is missing."""
    template = (templates_dir() / "node" / "mount-volumes.sh").read_text()
    script = template.format(folder=VOLUMES, uuid=file_system(ca, shape.node.name))
    return Unit(
        name=NAME,
        description="Disk for volumes",
        kind="oneshot",
        argv=("/bin/sh", VOLUMES_MOUNT),
        files=(NodeFile(VOLUMES_MOUNT, script.encode()),),
        # Pods that use a volume have it mounted at places of their own.
        settings=(f"ExecStop=-/bin/umount {VOLUMES}", "Restart=on-failure", "RestartSec=30"),
    )


def volume_objects(inventory: Inventory, versions: Versions) -> tuple[Manifest, ...]:
    """What a cluster has whose nodes make volumes."""
    if not provides(inventory, versions):
        return ()
    # What limits the rights comes before them.
    return (*(_policy() if versions.minor >= POLICIES else ()), *_rights(), _storage_class(inventory))


def _storage_class(inventory: Inventory) -> Manifest:
    default = "true" if inventory.volumes.default else "false"
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {DEFAULT_CLASS: default}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def _rights() -> Iterator[Manifest]:
    yield {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": NODE_VOLUMES},
        "rules": [
            _rule("", "persistentvolumes", "get", "list", "watch", "create", "patch", "delete"),
            _rule("", "persistentvolumeclaims", "get", "list", "watch"),
            _rule("", "persistentvolumeclaims/status", "patch"),
            _rule("", "events", "create"),
            _rule("storage.k8s.io", "storageclasses", "get"),
        ],
    }
    yield {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": NODE_VOLUMES},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": NODE_VOLUMES},
        "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": NODES_GROUP}],
    }


def _rule(group: str, resource: str, *verbs: str) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def _policy() -> Iterator[Manifest]:
    """Of what a node's agent makes, changes or deletes, everything that could reach beyond its own folder."""
    yield {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE", "DELETE"],
                        "resources": ["persistentvolumes"],
                    }
                ]
            },
            "matchConditions": [{"name": "a-node", "expression": f"'{NODES_GROUP}' in request.userInfo.groups"}],
            "variables": [
                {"name": "volume", "expression": "request.operation == 'DELETE' ? oldObject : object"},
                {"name": "before", "expression": "request.operation == 'CREATE' ? object : oldObject"},
            ],
            "validations": [
                {"expression": expression, "message": message}
                for expression, message in (
                    *(_within(each) for each in ("variables.volume", "variables.before")),
                    *(_of_claim(each) for each in ("variables.volume", "variables.before")),
                    *(_on_own_node(each) for each in ("variables.volume", "variables.before")),
                )
            ],
        },
    }
    yield {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY},
        "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
    }


def _within(volume: str) -> tuple[str, str]:
    path = f"{volume}.spec.local.path"
    return (
        f"has({volume}.spec.local) && {path} == '{VOLUMES}/' + {volume}.metadata.name",
        f"a node makes, changes and deletes volumes below {VOLUMES} alone",
    )


def _of_claim(volume: str) -> tuple[str, str]:
    made_by = f"{volume}.metadata.annotations['{MADE_BY}']"
    return (
        f"{volume}.metadata.name == 'pvc-' + {volume}.spec.claimRef.uid && {made_by} == '{PROVISIONER}'",
        "a node makes, changes and deletes volumes for claims of this provisioner alone",
    )


def _on_own_node(volume: str) -> tuple[str, str]:
    terms = f"{volume}.spec.nodeAffinity.required.nodeSelectorTerms"
    own = "request.userInfo.username == 'system:node:' + values"
    each = f"each.key == 'kubernetes.io/hostname' && each.operator == 'In' && each.values.all(values, {own})"
    return (
        f"{terms}.all(term, has(term.matchExpressions) && size(term.matchExpressions) == 1 && "
        f"term.matchExpressions.all(each, {each}))",
        "a node makes, changes and deletes volumes of its own alone",
    )
