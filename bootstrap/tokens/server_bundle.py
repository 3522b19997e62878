"""The Secret with what was made for one server, which the holder of one token reads, and no one else who is not an
administrator. Like all Secrets it is encrypted in etcd.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.tokens import MADE, MADE_KEY
from bootstrap.errors import ClusterupError
from bootstrap.machine.objects import Manifest
from bootstrap.tokens.rbac import delete_secret_for_holder, secret_for_holder
from bootstrap.tokens.server import LARGEST


def made_secret_name(token_id: str) -> str:
    """The name of the Secret, and of the Role and RoleBinding that open it."""
    return MADE.format(token_id)


def made_server_objects(token_id: str, bootstrap_secret: Mapping[str, Any], made: bytes) -> tuple[Manifest, ...]:
    """The Secret with what was made, and what lets exactly the token's holder read it and note who used it. All of it
    goes when the token's own Secret goes. Raises ClusterupError for one that is too large."""
    if len(made) > LARGEST:
        raise ClusterupError(
            "what this server would hold is too large for a token",
            step="join",
            tried="put it into a Secret, compressed",
            got=f"{len(made)} bytes, and {LARGEST} are possible",
            hint="let it join from here: `clusterup apply`",
        )
    return secret_for_holder(made_secret_name(token_id), token_id, {MADE_KEY: made}, ["get", "patch"], bootstrap_secret)


def delete_made_objects(api: KubeClient, token_id: str) -> bool:
    """Delete them. Whether there were any. Raises KubeError."""
    return delete_secret_for_holder(api, made_secret_name(token_id))
