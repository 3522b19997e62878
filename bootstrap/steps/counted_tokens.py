"""What a counted token needs beside its Secret: the approver's right to read it, to note a use, and to take it away;
and its holder's right to read it, so that whoever joins another node than the one it is for is told before all else.

The rights are for this one Secret, so that nobody reads another of the namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrap.steps.join_tokens import NAMESPACE
from bootstrap.steps.kube_client import KubeClient
from bootstrap.steps.token_objects import APPROVER, Manifest, owned, role, role_binding, user


def counted_token_objects(token_id: str, bootstrap_secret: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """The Roles and their bindings, which go when the Secret goes."""
    secret = bootstrap_secret["metadata"]["name"]
    approver, holder = _names(token_id)
    made = (
        role(approver, NAMESPACE, [_rule(secret, "get", "patch", "delete")]),
        role_binding(approver, NAMESPACE, approver, user(APPROVER)),
        role(holder, NAMESPACE, [_rule(secret, "get")]),
        role_binding(holder, NAMESPACE, holder, user(f"system:bootstrap:{token_id}")),
    )
    return tuple(owned(manifest, bootstrap_secret) for manifest in made)


def delete_counted_objects(api: KubeClient, token_id: str) -> bool:
    """Delete them. Whether there was any. Raises KubeError."""
    kinds = ("RoleBinding", "Role")
    deleted = [api.delete(kind, name, NAMESPACE) for name in _names(token_id) for kind in kinds]
    return any(deleted)


def _rule(secret: str, *verbs: str) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": list(verbs)}


def _names(token_id: str) -> tuple[str, str]:
    return f"clusterup-counted-{token_id}", f"clusterup-counted-{token_id}-holder"
