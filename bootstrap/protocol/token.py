"""Bootstrap tokens in kubeadm's format, and what is signed with them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field

from bootstrap.protocol.failure import Failure, Kind

_FORMAT = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})", re.ASCII)


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


def token_in(text: str) -> Token:
    """The token in `text`. Raises Failure, which does not repeat what might be a secret."""
    found = _FORMAT.fullmatch(text.strip())
    if found is None:
        raise Failure(
            "this is not a token: six and sixteen lower-case letters or digits with a dot between",
            kind=Kind.BAD_USE,
            tried="read the token",
            hint="make one with `clusterup token create` and use it as it was printed",
        )
    return Token(found[1], found[2])


def detached_signature(content: str, token: Token) -> str:
    """The JSON Web Signature over `content` without its payload, keyed by the token's secret. Raises UnicodeEncodeError
    for halves of surrogate pairs, which JSON may hold.

    Source: RFC 7515, appendix F; k8s.io/cluster-bootstrap's `jws` package.
    """
    header = _base64url(json.dumps({"alg": "HS256", "kid": token.id}, separators=(",", ":")).encode())
    signed = f"{header}.{_base64url(content.encode())}".encode()
    return f"{header}..{_base64url(hmac.digest(token.secret.encode(), signed, hashlib.sha256))}"


def signature_is_good(content: str, signature: str, token: Token) -> bool:
    """Whether `signature` is the one that the token's secret gives for `content`."""
    try:
        return hmac.compare_digest(signature.encode(), detached_signature(content, token).encode())
    except UnicodeEncodeError:
        return False


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
