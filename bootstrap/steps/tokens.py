"""Tokens that nodes join with: made, and taken back.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from bootstrap.errors import ClusterupError
from bootstrap.inventory.model import Inventory, Role
from bootstrap.pki.token import DEFAULT_GROUP, SERVER_GROUP, Token, ca_pin, new_token, parse_token, token_secret
from bootstrap.steps.apply import Intent
from bootstrap.steps.join_tokens import NAMESPACE
from bootstrap.steps.known_tokens import USES
from bootstrap.steps.kube_client import KubeClient
from bootstrap.steps.server_tokens import DEFAULT_LIFE, LONGEST_LIFE, delete_server_objects, server_token_objects
from bootstrap.steps.shape import API_PORT, endpoint_of
from bootstrap.steps.token_ttl import lifetime_of

AGENT_LIFE = timedelta(hours=1)
DESCRIPTION = "made by `clusterup token create`"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a token is to be good for."""

    lifetime: timedelta
    role: Role = Role.AGENT

    @property
    def group(self) -> str:
        """The group that its holder is in."""
        return SERVER_GROUP if self.role is Role.SERVER else DEFAULT_GROUP

    @property
    def annotations(self) -> dict[str, str]:
        """What its Secret says beside kubeadm's own."""
        return {USES: "1"} if self.role is Role.SERVER else {}


def wish_of(*, ttl: str | None, role: str) -> Wish:
    """What the options of `clusterup token create` ask for. Raises BadUse for what no token can be."""
    if role == Role.SERVER:
        return Wish(lifetime_of(ttl, LONGEST_LIFE) if ttl else DEFAULT_LIFE, Role.SERVER)
    return Wish(lifetime_of(ttl) if ttl else AGENT_LIFE)


@dataclass(frozen=True, slots=True)
class Made:
    """A token that was made, with what a node needs besides to join with it. `server` is a URL."""

    token: Token
    expires: datetime
    server: str
    pin: str
    role: Role = Role.AGENT

    def join_commands(self) -> tuple[str, ...]:
        """What is typed to join with it: clusterup's own command, and for agents kubeadm's."""
        secret, place = self.token.reveal(), self.server.removeprefix("https://")
        own = f"clusterup join HOST --server {self.server} --token {secret} --ca-cert-hash {self.pin}"
        if self.role is Role.SERVER:
            return (own,)
        return (
            own,
            f"kubeadm join {place} --token {secret} --discovery-token-ca-cert-hash {self.pin}",
        )

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON, the secret included."""
        return {
            "token": self.token.reveal(),
            "role": self.role.value,
            "expires": self.expires.isoformat(),
            "server": self.server,
            "ca_cert_hash": self.pin,
            "commands": list(self.join_commands()),
        }


def create_token(api: KubeClient, wish: Wish, intent: Intent) -> Made:
    """A new token that the API server knows, and what it opens; nothing of it stays where that fails. Raises
    ClusterupError."""
    token = new_token()
    expires = datetime.now(UTC).replace(microsecond=0) + wish.lifetime
    secret = token_secret(
        token, expires=expires, description=DESCRIPTION, groups=(wish.group,), annotations=wish.annotations
    )
    try:
        owner = api.apply(secret)
        if wish.role is Role.SERVER:
            for manifest in server_token_objects(token, owner, _handover(intent)):
                api.apply(manifest)
    except BaseException:
        with suppress(ClusterupError):
            revoke_token(api, token.id)
        raise
    return Made(token, expires, join_url(intent.inventory), ca_pin(intent.keys.pki.ca.cert_pem), wish.role)


def revoke_token(api: KubeClient, token_id: str) -> bool:
    """Take a token back: nobody is let in with it, once the API servers' ten seconds of memory are over. False where
    there is none of that id. Raises KubeError."""
    there = api.delete("Secret", f"bootstrap-token-{token_id}", NAMESPACE)
    return delete_server_objects(api, token_id) or there


def id_of(text: str) -> str:
    """The id in an id, in a whole token, or in the name of its Secret. Raises BadUse, without repeating what might be a
    secret."""
    found = text.strip().removeprefix("bootstrap-token-")
    return found if re.fullmatch("[a-z0-9]{6}", found) else parse_token(found).id


def join_url(inventory: Inventory) -> str:
    """Where nodes join: the endpoint, or the first server that has a network where the endpoint leads to the operator's
    own machine, as a lab's does."""
    host, port = endpoint_of(inventory)
    if _loopback(host):
        host, port = str((inventory.networked_servers or inventory.servers)[0].address), API_PORT
    return f"https://{host}:{port}"


def _handover(intent: Intent) -> bytes:
    """The file that servers keep; the same on all of them."""
    return next(desired.handover.content for desired in intent.nodes.values() if desired.handover is not None)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
