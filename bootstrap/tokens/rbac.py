"""What holders of clusterup's own kinds of tokens may do, in every cluster, and what decides about them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.objects import APPROVER_USER, KUBELET_SIGNER, RBAC_GROUP
from bootstrap.constants.tokens import LIMITED_GROUP, SERVER_GROUP, SERVERS, SERVERS_KEY, TOKENS_NAMESPACE
from bootstrap.machine.objects import Manifest

CLUSTER_INFO_ROLE = "kubeadm:bootstrap-signer-clusterinfo"


def token_objects(servers: Iterable[str]) -> tuple[Manifest, ...]:
    """A server's token reads the cluster's description, and nothing else that is not made for it alone. Whoever has a
    counted token may ask for a kubelet's certificate, and the approver on the servers decides; what it may read of a
    token is made with the token. `servers` are the names of the cluster's servers."""
    certificates = {"apiGroups": ["certificates.k8s.io"]}
    reads = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [SERVERS], "verbs": ["get"]}
    rules = [
        {**certificates, "resources": ["certificatesigningrequests"], "verbs": ["list", "watch"]},
        {**certificates, "resources": ["certificatesigningrequests/approval"], "verbs": ["update"]},
        {**certificates, "resources": ["signers"], "resourceNames": [KUBELET_SIGNER], "verbs": ["approve"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
    ]
    return (
        role_binding("clusterup:server-tokens", "kube-public", CLUSTER_INFO_ROLE, group(SERVER_GROUP)),
        _cluster_role_binding("clusterup:counted-bootstrap", "system:node-bootstrapper", group(LIMITED_GROUP)),
        {"apiVersion": f"{RBAC_GROUP}/v1", "kind": "ClusterRole", "metadata": {"name": APPROVER_USER}, "rules": rules},
        _cluster_role_binding(APPROVER_USER, APPROVER_USER, user(APPROVER_USER)),
        role(APPROVER_USER, TOKENS_NAMESPACE, [reads]),
        role_binding(APPROVER_USER, TOKENS_NAMESPACE, APPROVER_USER, user(APPROVER_USER)),
        servers_object(servers),
    )


def servers_object(servers: Iterable[str]) -> Manifest:
    """The names of the cluster's servers, one a line: no other thing says so of one whose Node is away for a moment."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": SERVERS, "namespace": TOKENS_NAMESPACE},
        "data": {SERVERS_KEY: "".join(f"{name}\n" for name in sorted(set(servers)))},
    }


def add_server(api: KubeClient, name: str, servers: Iterable[str]) -> Manifest:
    """The names of the cluster's servers with one more: of a server that joins before the next apply writes it down.
    Those that are written down stay; `servers` stand in for them where nothing is. Raises KubeError."""
    found = api.get("ConfigMap", SERVERS, TOKENS_NAMESPACE)
    there = str((found.get("data") or {}).get(SERVERS_KEY, "")).split() if found else servers
    return servers_object([*there, name])


def group(name: str) -> dict[str, str]:
    """A group as the subject of a binding."""
    return {"apiGroup": RBAC_GROUP, "kind": "Group", "name": name}


def user(name: str) -> dict[str, str]:
    """A user as the subject of a binding."""
    return {"apiGroup": RBAC_GROUP, "kind": "User", "name": name}


def role(name: str, namespace: str, rules: list[dict[str, Any]]) -> Manifest:
    """A Role."""
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": rules,
    }


def role_binding(name: str, namespace: str, role_name: str, subject: dict[str, str]) -> Manifest:
    """A RoleBinding to a Role of the same namespace."""
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": role_name},
        "subjects": [subject],
    }


def owned(manifest: Manifest, owner: Mapping[str, Any]) -> Manifest:
    """The manifest of an object that goes when `owner`, a Secret as the API server has it, goes."""
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [reference]}}


def secret_for_holder(
    name: str, token_id: str, data: Mapping[str, bytes], verbs: list[str], owner: Mapping[str, Any]
) -> tuple[Manifest, ...]:
    """A Secret with `data`, and what lets exactly the token's holder use exactly that one with `verbs`. All of it goes
    when `owner`, the token's own Secret, goes."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": TOKENS_NAMESPACE},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": verbs}
    holder = user(f"system:bootstrap:{token_id}")
    # Last the one that opens it.
    made = (secret, role(name, TOKENS_NAMESPACE, [rule]), role_binding(name, TOKENS_NAMESPACE, name, holder))
    return tuple(owned(manifest, owner) for manifest in made)


def delete_secret_for_holder(api: KubeClient, name: str) -> bool:
    """Delete what `secret_for_holder` describes. Whether there was any. Raises KubeError."""
    deleted = [api.delete(kind, name, TOKENS_NAMESPACE) for kind in ("RoleBinding", "Role", "Secret")]
    return any(deleted)


def _cluster_role_binding(name: str, role_name: str, subject: dict[str, str]) -> Manifest:
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role_name},
        "subjects": [subject],
    }
