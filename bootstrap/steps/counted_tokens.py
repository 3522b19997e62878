"""What a counted token needs beside its Secret: the approver's right to read it, to note a use, and to take it away.

The right is for this one Secret, so that the approver reads no other of the namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrap.steps.join_tokens import NAMESPACE
from bootstrap.steps.kube_client import KubeClient
from bootstrap.steps.token_objects import APPROVER, Manifest, owned, role, role_binding, user


def counted_token_objects(token_id: str, bootstrap_secret: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """The Role and its binding, which go when the Secret goes."""
    name, secret = _name(token_id), bootstrap_secret["metadata"]["name"]
    rule = {
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": [secret],
        "verbs": ["get", "patch", "delete"],
    }
    made = (role(name, NAMESPACE, [rule]), role_binding(name, NAMESPACE, name, user(APPROVER)))
    return tuple(owned(manifest, bootstrap_secret) for manifest in made)


def delete_counted_objects(api: KubeClient, token_id: str) -> bool:
    """Delete both. Whether there was any. Raises KubeError."""
    deleted = [api.delete(kind, _name(token_id), NAMESPACE) for kind in ("RoleBinding", "Role")]
    return any(deleted)


def _name(token_id: str) -> str:
    return f"clusterup-counted-{token_id}"
