"""The description of an agent, kept in the cluster for whoever joins a machine with a token, and who may read it."""

from __future__ import annotations

from typing import Any

from bootstrap.constants.objects import JOIN_MANIFEST, JOIN_MANIFEST_KEY, JOIN_MANIFEST_NAMESPACE
from bootstrap.errors import ClusterupError, Refused
from bootstrap.image.architecture import ARCHITECTURES
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.model import Inventory, Node
from bootstrap.machine.units import Runs
from bootstrap.protocol.join_manifest import (
    ADDRESS,
    NODE,
    AgentDescription,
    DescribedFile,
    DescribedImage,
    DescribedPayload,
    DescribedUnit,
)
from bootstrap.spec.credentials import ClusterCredentials
from bootstrap.spec.kubeadm_objects import JOINING_GROUPS
from bootstrap.spec.node import Desired, desired_node, image_files
from bootstrap.spec.topology import Shape, servers_of

Manifest = dict[str, Any]
ROLE = "clusterup:join"
RBAC = "rbac.authorization.k8s.io"
# The API server's own limit, in bytes: https://kubernetes.io/docs/concepts/configuration/configmap/#motivation
LONGEST = 1 << 20
# Two nodes that no inventory has, of networks that no one has (RFC 5737): what is not the same of both is their own.
_STRANGERS = (("clusterup-stranger-qqqqqqqq", "198.51.100.237"), ("clusterup-stranger-xxxxxxxx", "203.0.113.219"))


def access_objects() -> tuple[Manifest, ...]:
    """What lets somebody with a bootstrap token read the description."""
    metadata = {"name": ROLE, "namespace": JOIN_MANIFEST_NAMESPACE}
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [JOIN_MANIFEST], "verbs": ["get"]}
    return (
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": ROLE},
            "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group} for group in JOINING_GROUPS],
        },
    )


def agent_objects(inventory: Inventory, bundle: Bundle, cluster: ClusterCredentials) -> tuple[Manifest, ...]:
    """The ConfigMap with the description. Raises ClusterupError where it is too long for one, or can't be made."""
    text = describe_agent(inventory, bundle, cluster).text
    if len(text.encode()) > LONGEST:
        raise Refused(
            "what an agent of this cluster holds is too long to be kept in the cluster",
            step="objects",
            got=f"{len(text.encode())} bytes, at most {LONGEST} are kept",
            hint="shorten the inventory's defaults (labels, ssh_authorized_keys, sysctls) or kubelet_args",
        )
    metadata = {"name": JOIN_MANIFEST, "namespace": JOIN_MANIFEST_NAMESPACE}
    return ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {JOIN_MANIFEST_KEY: text}},)


def describe_agent(inventory: Inventory, bundle: Bundle, cluster: ClusterCredentials) -> AgentDescription:
    """An agent that has the inventory's defaults and nothing of its own. Raises ClusterupError."""
    defaults = inventory.defaults
    nodes = [_stranger(inventory, name, address) for name, address in _STRANGERS]
    shapes = [Shape(inventory, node, bundle.versions, servers_of(inventory)) for node in nodes]
    first, second = (desired_node(shape, bundle, cluster.pki) for shape in shapes)
    files = _described(first)
    if files != _described(second):
        raise Refused(
            "the inventory speaks of a node or an address that stands for those that are not there yet",
            step="objects",
            got=", ".join(text for pair in _STRANGERS for text in pair),
            hint="use another name or address in its place",
        )
    return AgentDescription(
        cluster=inventory.cluster.name,
        cluster_id=cluster.cluster_id,
        minor=bundle.versions.minor,
        payload=DescribedPayload(first.payload.sha256, first.payload.size, first.payload.components),
        images=tuple(
            DescribedImage(path, image.sha256, image.size, image.reference or "")
            for path, image in image_files(first.images).items()
        ),
        files=files,
        runtime=_units(first.runtime),
        kubelet=_units(first.kubelet),
        labels=defaults.labels,
        taints=tuple(taint.model_dump() for taint in defaults.taints),
        authorized_keys=tuple(dict.fromkeys([f"{cluster.operator_key} clusterup", *defaults.ssh_authorized_keys])),
        servers=servers_of(inventory),
        settings=defaults.model_dump(mode="json", include={"ntp", "dns", "sysctls", "modules"}),
        trusted_keys=inventory.os.trusted_keys,
        signed=bundle.signed,
        architecture=ARCHITECTURES[bundle.architecture].machine,
    )


def _stranger(inventory: Inventory, name: str, address: str) -> Node:
    defaults = inventory.defaults
    own = {"labels": defaults.labels, "taints": defaults.taints, "dns": defaults.dns}
    return Node.model_validate({"name": name, "address": address, **own})


def _described(desired: Desired) -> tuple[DescribedFile, ...]:
    name, address = desired.node.name, str(desired.node.address)
    found = []
    for file in desired.files:
        texts = [file.path, file.content.decode()]
        if any(mark in text for mark in (NODE, ADDRESS) for text in texts):
            raise ClusterupError(
                f"{file.path} of an agent holds what stands for a node's name or address",
                step="objects",
                got=f"{NODE} or {ADDRESS}",
                hint="write it otherwise in the inventory",
            )
        path, content = (text.replace(name, NODE).replace(address, ADDRESS) for text in texts)
        found.append(DescribedFile(path, file.mode, content))
    return tuple(found)


def _units(units: tuple[Runs, ...]) -> tuple[DescribedUnit, ...]:
    return tuple(DescribedUnit(unit.name, unit.reads) for unit in units)
