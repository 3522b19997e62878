"""Bootstrap tokens in kubeadm's format, and the signed cluster-info that a joining node trusts.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP, TOKEN_TYPE, TOKENS_NAMESPACE
from bootstrap.failures import in_own_words
from bootstrap.protocol.certificate import certificates_in, pin_of
from bootstrap.protocol.token import Token, token_in

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_token() -> Token:
    """A random token."""
    letters = [secrets.choice(ALPHABET) for _ in range(22)]
    return Token("".join(letters[:6]), "".join(letters[6:]))


def parse_token(text: str) -> Token:
    """The token in `text`. Raises BadUse, without repeating what might be a secret."""
    with in_own_words():
        return token_in(text)


def ca_pin(ca_pem: bytes) -> str:
    """What a joining node knows the cluster's authority (PEM) by; see `pin_of`. Raises ValueError."""
    (der,) = certificates_in(ca_pem.decode())
    return pin_of(der)


def token_secret(
    token: Token,
    *,
    expires: datetime,
    description: str,
    groups: Sequence[str] = (BOOTSTRAPPERS_GROUP,),
    usages: Sequence[str] = ("authentication", "signing"),
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The Secret in kube-system that makes the API server accept `token` until `expires`."""
    data = {
        "token-id": token.id,
        "token-secret": token.secret,
        "expiration": expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "description": description,
        "auth-extra-groups": ",".join(groups),
        **{f"usage-bootstrap-{usage}": "true" for usage in usages},
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"bootstrap-token-{token.id}",
            "namespace": TOKENS_NAMESPACE,
            **({"annotations": dict(annotations)} if annotations else {}),
        },
        "type": TOKEN_TYPE,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def cluster_info(server_url: str, ca_pem: bytes) -> dict[str, Any]:
    """The ConfigMap in kube-public that a joining node reads first; the control plane signs it for each token."""
    cluster = {"certificate-authority-data": base64.b64encode(ca_pem).decode(), "server": server_url}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": cluster}],
        "contexts": [],
        "current-context": "",
        "preferences": {},
        "users": [],
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cluster-info", "namespace": "kube-public"},
        "data": {"kubeconfig": json.dumps(kubeconfig, indent=1)},
    }
