"""Tokens that nodes join with: made, and taken back.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.inventory.model import Inventory, Role
from bootstrap.pki.token import (
    COUNTED_GROUP,
    DEFAULT_GROUP,
    SERVER_GROUP,
    Token,
    ca_pin,
    new_token,
    parse_token,
    token_secret,
)
from bootstrap.steps.apply import Intent
from bootstrap.steps.counted_tokens import counted_token_objects, delete_counted_objects
from bootstrap.steps.join_tokens import NAMESPACE
from bootstrap.steps.known_tokens import NODE, USES
from bootstrap.steps.kube_client import KubeClient
from bootstrap.steps.made_secret import delete_made_objects, made_server_objects
from bootstrap.steps.made_server import check_may_join, made_server
from bootstrap.steps.server_tokens import DEFAULT_LIFE, LONGEST_LIFE, delete_server_objects, server_token_objects
from bootstrap.steps.shape import joined_at
from bootstrap.steps.token_objects import Manifest
from bootstrap.steps.token_ttl import lifetime_of

AGENT_LIFE = timedelta(hours=1)
_NODE_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)
DESCRIPTION = "made by `clusterup token create`"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a token is to be good for."""

    lifetime: timedelta
    role: Role = Role.AGENT
    uses: int | None = None
    node: str | None = None

    @property
    def counted(self) -> bool:
        """Whether clusterup's own approver decides about each use: not about that of a token that opens keys."""
        if self.role is Role.SERVER:
            return self.node is not None
        return self.uses is not None or self.node is not None

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that its holder is in."""
        servers = (SERVER_GROUP,) if self.role is Role.SERVER else ()
        counted = (COUNTED_GROUP,) if self.counted else ()
        return (*servers, *counted) or (DEFAULT_GROUP,)

    @property
    def annotations(self) -> dict[str, str]:
        """What its Secret says beside kubeadm's own."""
        uses = {USES: str(self.uses)} if self.uses is not None else {}
        return {**uses, **({NODE: self.node} if self.node is not None else {})}


def wish_of(*, ttl: str | None, role: str, uses: int | None = None, node: str | None = None) -> Wish:
    """What the options of `clusterup token create` ask for. Raises BadUse for what no token can be."""
    if uses is not None and uses < 1:
        raise _bad(f"a token can't be for {uses} joins", "leave --uses away for any number, or give one from 1 on")
    if node is not None and not _NODE_NAME.fullmatch(node):
        raise _bad(f"{node!r} is no name of a node", "lower-case letters, digits, - and . as in --node worker-7")
    if role != Role.SERVER:
        return Wish(AGENT_LIFE if ttl is None else lifetime_of(ttl), Role.AGENT, uses, node)
    if uses not in (None, 1):
        raise _bad("a server's token is for one join", "leave --uses away, and make a token for each server")
    return Wish(DEFAULT_LIFE if ttl is None else lifetime_of(ttl, LONGEST_LIFE), Role.SERVER, 1, node)


def _bad(problem: str, hint: str) -> BadUse:
    return BadUse(problem, step="token", tried="read the options", hint=hint)


@dataclass(frozen=True, slots=True)
class Made:
    """A token that was made, with what a node needs besides to join with it. `server` is a URL."""

    token: Token
    expires: datetime
    server: str
    pin: str
    role: Role = Role.AGENT
    node: str | None = None

    def join_commands(self) -> tuple[str, ...]:
        """What is typed to join with it: clusterup's own command, and for agents kubeadm's. A server that something was
        made for joins by itself."""
        secret, place = self.token.reveal(), self.server.removeprefix("https://")
        if self.role is Role.SERVER and self.node is not None:
            there = f"--token {secret} --ca-cert-hash {self.pin} --name {self.node}"
            return (f"clusterup-node join {self.server} {there}",)
        own = f"clusterup join HOST --server {self.server} --token {secret} --ca-cert-hash {self.pin}"
        if self.role is Role.SERVER:
            return (own,)
        kubeadm_s = f"kubeadm join {place} --token {secret} --discovery-token-ca-cert-hash {self.pin}"
        if self.node is None:
            return (own, kubeadm_s)
        return (f"{own} --name {self.node}", f"{kubeadm_s} --node-name {self.node}")

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
    if wish.role is Role.SERVER and wish.node is not None:
        check_may_join(api, intent, wish.node)
    if wish.role is Role.SERVER:
        # What it opens and what is kept here is the same.
        intent.state.keep_made()
    if wish.role is Role.SERVER and wish.node is not None:
        # What it keeps of it will be taken for ours.
        intent.state.note_handover(hashlib.sha256(_handover(intent)).hexdigest())
    token = new_token()
    expires = datetime.now(UTC).replace(microsecond=0) + wish.lifetime
    secret = token_secret(
        token, expires=expires, description=DESCRIPTION, groups=wish.groups, annotations=wish.annotations
    )
    try:
        owner = api.apply(secret)
        for manifest in _opened(token, wish, intent, owner):
            api.apply(manifest)
    except BaseException:
        with suppress(ClusterupError):
            revoke_token(api, token.id)
        raise
    return Made(token, expires, join_url(intent.inventory), ca_pin(intent.keys.pki.ca.cert_pem), wish.role, wish.node)


def _opened(token: Token, wish: Wish, intent: Intent, owner: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """What there is beside the token's own Secret, `owner`."""
    counted = counted_token_objects(token.id, owner) if wish.counted else ()
    if wish.role is not Role.SERVER:
        return counted
    if wish.node is None:
        return server_token_objects(token, owner, _handover(intent))
    return (*counted, *made_server_objects(token.id, owner, made_server(intent, wish.node)))


def revoke_token(api: KubeClient, token_id: str) -> bool:
    """Take a token back: nobody is let in with it, once the API servers' ten seconds of memory are over. False where
    there is none of that id. Raises KubeError."""
    there = api.delete("Secret", f"bootstrap-token-{token_id}", NAMESPACE)
    opened = (delete_server_objects, delete_counted_objects, delete_made_objects)
    return any([there, *[delete(api, token_id) for delete in opened]])


def id_of(text: str) -> str:
    """The id in an id, in a whole token, or in the name of its Secret. Raises BadUse, without repeating what might be a
    secret."""
    found = text.strip().removeprefix("bootstrap-token-")
    return found if re.fullmatch("[a-z0-9]{6}", found) else parse_token(found).id


def join_url(inventory: Inventory) -> str:
    """Where nodes join."""
    host, port = joined_at(inventory)
    return f"https://{host}:{port}"


def _handover(intent: Intent) -> bytes:
    """The file that servers keep; the same on all of them."""
    return next(desired.handover.content for desired in intent.nodes.values() if desired.handover is not None)
