"""What a counted token needs beside its Secret: rights to this one Secret, so that no one reads another one with them.

The approver reads it, notes a use, and takes it away. Its holder, who knows what is secret in it, may read for which
node it is: who joins is told so before a disk is erased, not when the kubelet is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.objects import APPROVER_USER
from bootstrap.constants.tokens import TOKENS_NAMESPACE
from bootstrap.machine.objects import Manifest
from bootstrap.tokens.rbac import owned, role, role_binding, user

_APPROVER_S, _HOLDER_S = "clusterup-counted-{}", "clusterup-holder-{}"


def counted_token_objects(token_id: str, bootstrap_secret: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """The Roles and their bindings, which go when the Secret goes."""
    secret, holder = bootstrap_secret["metadata"]["name"], user(f"system:bootstrap:{token_id}")
    made = _may(_HOLDER_S.format(token_id), holder, secret, ["get"])
    return (*approver_objects(token_id, bootstrap_secret), *(owned(manifest, bootstrap_secret) for manifest in made))


def approver_objects(token_id: str, bootstrap_secret: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """Those of the approver alone."""
    secret = bootstrap_secret["metadata"]["name"]
    made = _may(_APPROVER_S.format(token_id), user(APPROVER_USER), secret, ["get", "patch", "delete"])
    return tuple(owned(manifest, bootstrap_secret) for manifest in made)


def delete_counted_objects(api: KubeClient, token_id: str) -> bool:
    """Delete them. Whether there were any. Raises KubeError."""
    names = [name.format(token_id) for name in (_APPROVER_S, _HOLDER_S)]
    deleted = [api.delete(kind, name, TOKENS_NAMESPACE) for name in names for kind in ("RoleBinding", "Role")]
    return any(deleted)


def _may(name: str, subject: dict[str, str], secret: str, verbs: list[str]) -> tuple[Manifest, Manifest]:
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": verbs}
    return role(name, TOKENS_NAMESPACE, [rule]), role_binding(name, TOKENS_NAMESPACE, name, subject)
