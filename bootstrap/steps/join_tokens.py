"""The bootstrap tokens that kubelets join with: one for one join, an hour long at most, taken back when it has joined.

Whoever takes a node's token back takes back all that were made for it: those of an apply that was killed, too.
Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from bootstrap.pki.token import Token, new_token, token_secret
from bootstrap.steps.kube_client import KubeClient

TOKEN_LIFE = timedelta(hours=1)
NAMESPACE = "kube-system"
TYPE = "bootstrap.kubernetes.io/token"


def give_token(api: KubeClient, node: str) -> Token:
    """A new token for the join of a node, which the API server knows. Raises KubeError."""
    token = new_token()
    expires = datetime.now(UTC) + TOKEN_LIFE
    api.apply(token_secret(token, expires=expires, description=_description(node), usages=("authentication",)))
    return token


def take_tokens_back(api: KubeClient, node: str) -> None:
    """Delete every token that was made for the join of a node. Raises KubeError."""
    for secret in api.list("Secret", NAMESPACE, fields={"type": TYPE}):
        if _described(secret) == _description(node):
            api.delete("Secret", secret["metadata"]["name"], NAMESPACE)


def _description(node: str) -> str:
    return f"clusterup: {node} joins"


def _described(secret: dict[str, Any]) -> str:
    return base64.b64decode(secret.get("data", {}).get("description", "")).decode(errors="replace")
