"""The bootstrap tokens that kubelets join with: one for one join of one node, an hour long at most, taken back when it
has joined. It is made for the node's name, so that the approver gives it that name where a Node has it already, and to
a server's kubelet a server's.

Whoever takes a node's token back takes back all that were made for it: those of an apply that was killed, too.
Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.tokens import LIMITED_GROUP, NODE, SERVER_GROUP, TOKEN_TYPE, TOKENS_NAMESPACE
from bootstrap.inventory.model import Role
from bootstrap.pki.token import new_token, token_secret
from bootstrap.protocol.token import Token
from bootstrap.tokens.limited import approver_objects

TOKEN_LIFE = timedelta(hours=2)
GROUPS = {Role.AGENT: (LIMITED_GROUP,), Role.SERVER: (SERVER_GROUP, LIMITED_GROUP)}


def give_token(api: KubeClient, node: str, role: Role) -> Token:
    """A new token for the join of a node, which the API server and the approver know. Raises KubeError."""
    token = new_token()
    secret = token_secret(
        token,
        expires=datetime.now(UTC) + TOKEN_LIFE,
        description=_description(node),
        groups=GROUPS[role],
        usages=("authentication",),
        annotations={NODE: node},
    )
    owner = api.apply(secret)
    for manifest in approver_objects(token.id, owner):
        api.apply(manifest)
    return token


def take_tokens_back(api: KubeClient, node: str) -> None:
    """Delete every token that was made for the join of a node. Raises KubeError."""
    for secret in api.list("Secret", TOKENS_NAMESPACE, fields={"type": TOKEN_TYPE}):
        if _described(secret) == _description(node):
            api.delete("Secret", secret["metadata"]["name"], TOKENS_NAMESPACE)


def _description(node: str) -> str:
    return f"clusterup: {node} joins"


def _described(secret: dict[str, Any]) -> str:
    try:
        return base64.b64decode(secret.get("data", {}).get("description", "")).decode(errors="replace")
    except ValueError:
        # Somebody else's, who wrote something else into it.
        return ""
