"""What holders of clusterup's own kinds of tokens may do, in every cluster.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrap.pki.token import COUNTED_GROUP, SERVER_GROUP

Manifest = dict[str, Any]
KUBELET_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
RBAC = "rbac.authorization.k8s.io"
APPROVER = "clusterup:approver"
CLUSTER_INFO_ROLE = "kubeadm:bootstrap-signer-clusterinfo"


def token_objects() -> tuple[Manifest, ...]:
    """A server's token reads the cluster's description, and nothing else that is not made for it alone. Whoever has a
    counted token may ask for a kubelet's certificate, and the approver on the servers decides; what it may read of a
    token is made with the token."""
    certificates = {"apiGroups": ["certificates.k8s.io"]}
    rules = [
        {**certificates, "resources": ["certificatesigningrequests"], "verbs": ["list"]},
        {**certificates, "resources": ["certificatesigningrequests/approval"], "verbs": ["update"]},
        {**certificates, "resources": ["signers"], "resourceNames": [KUBELET_SIGNER], "verbs": ["approve"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
    ]
    return (
        role_binding("clusterup:server-tokens", "kube-public", CLUSTER_INFO_ROLE, group(SERVER_GROUP)),
        _cluster_role_binding("clusterup:counted-bootstrap", "system:node-bootstrapper", group(COUNTED_GROUP)),
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": APPROVER}, "rules": rules},
        _cluster_role_binding(APPROVER, APPROVER, user(APPROVER)),
    )


def group(name: str) -> dict[str, str]:
    """A group as the subject of a binding."""
    return {"apiGroup": RBAC, "kind": "Group", "name": name}


def user(name: str) -> dict[str, str]:
    """A user as the subject of a binding."""
    return {"apiGroup": RBAC, "kind": "User", "name": name}


def role(name: str, namespace: str, rules: list[dict[str, Any]]) -> Manifest:
    """A Role."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": rules,
    }


def role_binding(name: str, namespace: str, role_name: str, subject: dict[str, str]) -> Manifest:
    """A RoleBinding to a Role of the same namespace."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": role_name},
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


def _cluster_role_binding(name: str, role_name: str, subject: dict[str, str]) -> Manifest:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role_name},
        "subjects": [subject],
    }
