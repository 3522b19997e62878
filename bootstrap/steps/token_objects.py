"""What holders of clusterup's own kinds of tokens may do, in every cluster.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

from typing import Any

from bootstrap.pki.token import SERVER_GROUP

Manifest = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
CLUSTER_INFO_ROLE = "kubeadm:bootstrap-signer-clusterinfo"


def token_objects() -> tuple[Manifest, ...]:
    """A server's token reads the cluster's description, and nothing else that is not made for it alone."""
    return (role_binding("clusterup:server-tokens", "kube-public", CLUSTER_INFO_ROLE, group(SERVER_GROUP)),)


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
