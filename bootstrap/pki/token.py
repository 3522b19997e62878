"""Bootstrap tokens in kubeadm's format, and the signed cluster-info that a joining node trusts.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP, TOKEN_TYPE, TOKENS_NAMESPACE
from bootstrap.errors import BadUse
from bootstrap.pki.x509 import public_key_pin

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
FORMAT = re.compile(r"^([a-z0-9]{6})\.([a-z0-9]{16})$")


@dataclass(frozen=True, slots=True)
class Token:
    """A bootstrap token: the `id` is public, the `secret` shows only in `reveal()`."""

    id: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.id}.****************"

    def reveal(self) -> str:
        """The whole token, as a join command takes it."""
        return f"{self.id}.{self.secret}"


def new_token() -> Token:
    """A random token."""
    letters = [secrets.choice(ALPHABET) for _ in range(22)]
    return Token("".join(letters[:6]), "".join(letters[6:]))


def parse_token(text: str) -> Token:
    """The token in `text`. Raises BadUse, without repeating what might be a secret."""
    found = FORMAT.match(text.strip())
    if found is None:
        raise BadUse(
            "this is no token: six and sixteen lower-case letters or digits with a dot between",
            tried="read the token",
            hint="make one with `clusterup token create` and use it as it was printed",
        )
    return Token(found[1], found[2])


def ca_pin(ca_pem: bytes) -> str:
    """What a joining node knows the cluster's authority by: "sha256:" and the SHA-256 of its public key
    (SubjectPublicKeyInfo, DER), 64 hexadecimal digits; kubeadm's --discovery-token-ca-cert-hash."""
    return public_key_pin(ca_pem)


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


def detached_signature(content: str, token: Token) -> str:
    """The JSON Web Signature over `content` without its payload, keyed by the token's secret.

    Source: RFC 7515, appendix F; k8s.io/cluster-bootstrap's `jws` package.
    """
    header = _base64url(json.dumps({"alg": "HS256", "kid": token.id}, separators=(",", ":")).encode())
    signed = f"{header}.{_base64url(content.encode())}".encode()
    return f"{header}..{_base64url(hmac.digest(token.secret.encode(), signed, hashlib.sha256))}"


def signature_is_good(content: str, signature: str, token: Token) -> bool:
    """Whether `signature` is the one that the token's secret gives for `content`."""
    return hmac.compare_digest(signature.encode(), detached_signature(content, token).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
