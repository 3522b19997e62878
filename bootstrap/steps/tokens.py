"""Tokens that nodes join with: made, and taken back.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from bootstrap.inventory.model import Inventory
from bootstrap.pki.token import Token, ca_pin, new_token, parse_token, token_secret
from bootstrap.steps.join_tokens import NAMESPACE
from bootstrap.steps.kube_client import KubeClient
from bootstrap.steps.shape import API_PORT, endpoint_of

DESCRIPTION = "made by `clusterup token create`"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a token is to be good for."""

    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Made:
    """A token that was made, with what a node needs besides to join with it. `server` is a URL."""

    token: Token
    expires: datetime
    server: str
    pin: str

    def join_commands(self) -> tuple[str, ...]:
        """What is typed to join with it: clusterup's own command, and kubeadm's."""
        secret, place = self.token.reveal(), self.server.removeprefix("https://")
        return (
            f"clusterup join HOST --server {self.server} --token {secret} --ca-cert-hash {self.pin}",
            f"kubeadm join {place} --token {secret} --discovery-token-ca-cert-hash {self.pin}",
        )

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON, the secret included."""
        return {
            "token": self.token.reveal(),
            "expires": self.expires.isoformat(),
            "server": self.server,
            "ca_cert_hash": self.pin,
            "commands": list(self.join_commands()),
        }


def create_token(api: KubeClient, wish: Wish, *, server: str, ca_pem: bytes) -> Made:
    """A new token that the API server knows. `server` is the URL that nodes join at. Raises KubeError."""
    token = new_token()
    expires = datetime.now(UTC).replace(microsecond=0) + wish.lifetime
    api.apply(token_secret(token, expires=expires, description=DESCRIPTION))
    return Made(token, expires, server, ca_pin(ca_pem))


def revoke_token(api: KubeClient, token_id: str) -> bool:
    """Take a token back: nobody is let in with it, once the API servers' ten seconds of memory are over. False where
    there is none of that id. Raises KubeError."""
    return api.delete("Secret", f"bootstrap-token-{token_id}", NAMESPACE)


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


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
