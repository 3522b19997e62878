"""The bootstrap tokens that a cluster has, whoever made them, without their secrets.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.tokens import (
    BOOTSTRAPPERS_GROUP,
    LIMITED_GROUP,
    NODE,
    SERVER_GROUP,
    TOKEN_TYPE,
    TOKENS_NAMESPACE,
    USED_BY,
    USES,
)

_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
_OF_AN_APPLY = re.compile(r"clusterup: (\S+) joins")


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token as the API server has it. `role` is agent, server, apply (made for one join by an apply that is under way
    or was killed) or other; `expires` None is never. `uses` None is any number; `node` None is any node."""

    id: str
    role: str
    expires: datetime | None
    usages: tuple[str, ...]
    groups: tuple[str, ...]
    description: str
    uses: int | None = None
    used: int = 0
    node: str | None = None

    @property
    def left(self) -> int | None:
        """How many more may join with it; None is any number."""
        return None if self.uses is None else max(self.uses - self.used, 0)

    def expired(self, now: datetime) -> bool:
        """Whether its time is over; the token cleaner takes it away within a moment of that."""
        return self.expires is not None and self.expires <= now

    def as_data(self, now: datetime) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "id": self.id,
            "role": self.role,
            "expires": self.expires.isoformat() if self.expires else None,
            "expired": self.expired(now),
            "usages": list(self.usages),
            "groups": list(self.groups),
            "description": self.description,
            "uses": self.uses,
            "used": self.used,
            "left": self.left,
            "node": self.node,
        }


def known_tokens(api: KubeClient) -> tuple[KnownToken, ...]:
    """All tokens, those that end first first. Raises KubeError."""
    found = [known_token(secret) for secret in api.list("Secret", TOKENS_NAMESPACE, fields={"type": TOKEN_TYPE})]
    never = datetime.max.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda token: (token.expires or never, token.id)))


def known_token(secret: Mapping[str, Any]) -> KnownToken:
    """What a token's Secret says, apart from what is secret in it."""
    data = {key: _text(value) for key, value in (secret.get("data") or {}).items() if key != "token-secret"}
    annotations: Mapping[str, str] = secret["metadata"].get("annotations") or {}
    groups = tuple(group for group in data.get("auth-extra-groups", "").split(",") if group)
    prefix = "usage-bootstrap-"
    usages = tuple(sorted(key.removeprefix(prefix) for key in data if key.startswith(prefix) and data[key] == "true"))
    of_an_apply = _OF_AN_APPLY.fullmatch(data.get("description", ""))
    uses = annotations.get(USES, "")
    return KnownToken(
        id=data.get("token-id") or secret["metadata"]["name"].removeprefix("bootstrap-token-"),
        role="apply" if of_an_apply else _role(groups),
        expires=_time(data.get("expiration", "")),
        usages=usages,
        groups=groups,
        description=data.get("description", ""),
        uses=int(uses) if _COUNT.fullmatch(uses) else None,
        used=len(annotations.get(USED_BY, "").split()),
        node=of_an_apply[1] if of_an_apply else annotations.get(NODE),
    )


def _role(groups: tuple[str, ...]) -> str:
    if SERVER_GROUP in groups:
        return "server"
    return "agent" if {BOOTSTRAPPERS_GROUP, LIMITED_GROUP} & {*groups} else "other"


def _text(value: str) -> str:
    try:
        return base64.b64decode(value).decode(errors="replace")
    except ValueError:
        return ""


def _time(text: str) -> datetime | None:
    """RFC 3339, as the API server reads it. What it can't read makes no token good: that one is over."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
