"""Tokens that nodes join with: made, and taken back.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.objects import CONTROL_PLANE
from bootstrap.constants.tokens import LIMITED_GROUP, NODE, SERVER_GROUP, TOKENS_NAMESPACE, USES
from bootstrap.engine.patience import TooLate, until
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.inventory.model import Inventory, Role
from bootstrap.machine.objects import Manifest
from bootstrap.operations.intent import Intent
from bootstrap.operations.made_server import check_may_join, made_server
from bootstrap.pki.token import ca_pin, new_token, parse_token, token_secret
from bootstrap.protocol.discovery import SIGNATURE
from bootstrap.protocol.nodes import is_ready
from bootstrap.protocol.token import Token
from bootstrap.spec.cluster_objects import kept
from bootstrap.spec.topology import joined_at, servers_of
from bootstrap.tokens.limited import counted_token_objects, delete_counted_objects
from bootstrap.tokens.rbac import add_server
from bootstrap.tokens.server import DEFAULT_LIFE, LONGEST_LIFE, delete_server_objects, server_token_objects
from bootstrap.tokens.server_bundle import delete_made_objects, made_server_objects
from bootstrap.tokens.ttl import lifetime_of

AGENT_LIFE = timedelta(hours=1)
# What --uses takes beside a number.
UNLIMITED = "unlimited"
_NODE_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)
# A server that held kube-controller-manager's lease and is gone is followed when that is over (15 s; 90 s in a lab that
# is emulated) and the controllers have started, half a minute on a slow machine.
# Source: https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
SIGNED_SECONDS, SIGNED_SOON, SIGNED_EVERY = 240.0, 5.0, 1.0
LOOK_AT_MANAGER = "does kube-controller-manager run? `journalctl -u kube-controller-manager` on the servers"
DESCRIPTION = "made by `clusterup token create`"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a token is to be good for. `uses` None is any number of nodes."""

    lifetime: timedelta
    role: Role = Role.AGENT
    uses: int | None = None
    node: str | None = None

    @property
    def counted(self) -> bool:
        """Whether a kubelet may ask for its certificate with it: not with one that opens the cluster's keys."""
        return self.role is Role.AGENT or self.node is not None

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that its holder is in."""
        servers = (SERVER_GROUP,) if self.role is Role.SERVER else ()
        return (*servers, *((LIMITED_GROUP,) if self.counted else ()))

    @property
    def annotations(self) -> dict[str, str]:
        """What its Secret says beside kubeadm's own."""
        uses = {USES: str(self.uses)} if self.uses is not None else {}
        return {**uses, **({NODE: self.node} if self.node is not None else {})}


def wish_of(*, ttl: str | None, role: str, uses: str | None = None, node: str | None = None) -> TokenRequest:
    """What the options of `clusterup token create` ask for. Raises BadUse for what no token can be."""
    number = _uses_of(uses)
    if node is not None and not _NODE_NAME.fullmatch(node):
        raise _bad(f"{node!r} is not a name of a node", "lower-case letters, digits, - and . as in --node worker-7")
    if role != Role.SERVER:
        return TokenRequest(AGENT_LIFE if ttl is None else lifetime_of(ttl), Role.AGENT, number, node)
    if number != 1:
        raise _bad("a server's token is for one join", "leave --uses away, and make a token for each server")
    return TokenRequest(DEFAULT_LIFE if ttl is None else lifetime_of(ttl, LONGEST_LIFE), Role.SERVER, 1, node)


def _uses_of(text: str | None) -> int | None:
    if text == UNLIMITED:
        return None
    if text is not None and not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise _bad(
            f"a token can't be for {text!r} joins", f"as in --uses 3; --uses {UNLIMITED} for any number within its time"
        )
    return int(text or 1)


def _bad(problem: str, hint: str) -> BadUse:
    return BadUse(problem, step="token", tried="read the options", hint=hint)


@dataclass(frozen=True, slots=True)
class Made:
    """A token that was made, with what a node needs besides to join with it. `server` is a URL; `uses` None is any
    number; `live` is whether a Ready Node has the name that it is for."""

    token: Token
    expires: datetime
    server: str
    pin: str
    role: Role = Role.AGENT
    node: str | None = None
    uses: int | None = 1
    live: bool = False

    @property
    def good_for(self) -> str:
        """What it is good for, in words."""
        if self.node is None:
            return "any number of nodes" if self.uses is None else f"{self.uses} node{'s' if self.uses > 1 else ''}"
        often = "any number of joins" if self.uses is None else f"{self.uses} join{'s' if self.uses > 1 else ''}"
        return f"{often} as {self.node}"

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
            "uses": self.uses,
            "node": self.node,
            "expires": self.expires.isoformat(),
            "server": self.server,
            "ca_cert_hash": self.pin,
            "commands": list(self.join_commands()),
        }


def create_token(api: KubeClient, wish: TokenRequest, intent: Intent) -> Made:
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
    replaced = None
    if wish.role is Role.AGENT and wish.node is not None:
        replaced = _agents_node(api, intent.inventory, wish.node)
    token = new_token()
    expires = datetime.now(UTC).replace(microsecond=0) + wish.lifetime
    secret = token_secret(
        token, expires=expires, description=DESCRIPTION, groups=wish.groups, annotations=wish.annotations
    )
    try:
        owner = api.apply(secret)
        for manifest in _opened(api, token, wish, intent, owner):
            api.apply(manifest)
    except BaseException:
        with suppress(ClusterupError):
            revoke_token(api, token.id)
        raise
    pin = ca_pin(intent.keys.pki.ca.cert_pem)
    return Made(
        token, expires, join_url(intent.inventory), pin, wish.role, wish.node, wish.uses, live=is_ready(replaced or {})
    )


def wait_until_signed(api: KubeClient, token: Token, say: Callable[[str], None]) -> None:
    """Wait until the cluster's description is signed with a new token: whoever joins before that is told that the
    cluster knows no such token. Where that does not come about, `say` gets told what to do; the token stays good. With
    Ctrl-C the token is revoked: no one has seen it yet."""

    def description() -> Mapping[str, Any] | None:
        return api.get("ConfigMap", "cluster-info", "kube-public")

    def signed() -> bool | None:
        return True if SIGNATURE.format(token.id) in ((description() or {}).get("data") or {}) else None

    try:
        if description() is None:
            raise Refused("the cluster has no description for nodes that join", hint="`clusterup apply` puts it there")
        try:
            until(signed, what="the signature", seconds=SIGNED_SOON, every=SIGNED_EVERY)
        except TooLate:
            say("waiting for kube-controller-manager: no one joins with a token before it has signed for it")
            until(signed, what="the signature", seconds=SIGNED_SECONDS, every=SIGNED_EVERY, hint=LOOK_AT_MANAGER)
    except ClusterupError as why:
        say(f"token {token.id} is there, and that it can be joined with was not seen\n{why}")
    except BaseException:
        with suppress(ClusterupError):
            revoke_token(api, token.id)
        raise


def _agents_node(api: KubeClient, inventory: Inventory, name: str) -> Mapping[str, Any] | None:
    """The Node that has an agent's name already. Raises Refused where the name is a server's, in the inventory or in
    the cluster: the approver never gives it to an agent's token."""
    found = api.get("Node", name)
    listed = name in servers_of(inventory)
    if not listed and CONTROL_PLANE not in ((found or {}).get("metadata", {}).get("labels") or {}):
        return found
    raise Refused(
        f"{name} is a server, and an agent's token never gets its name",
        node=name,
        step="token",
        tried="look for what the token is to be made for",
        got="it is a server in the inventory" if listed else "its Node is a server's",
        hint=f"`clusterup apply` joins it again; `clusterup remove {name}` takes out one that is gone for good; a new "
        f"server joins with --role server --node {name}",
    )


def _opened(
    api: KubeClient, token: Token, wish: TokenRequest, intent: Intent, owner: Mapping[str, Any]
) -> tuple[Manifest, ...]:
    """What there is beside the token's own Secret, `owner`."""
    counted = counted_token_objects(token.id, owner) if wish.counted else ()
    if wish.role is not Role.SERVER:
        return counted
    if wish.node is None:
        return server_token_objects(token, owner, _handover(intent))
    names = kept(add_server(api, wish.node, servers_of(intent.inventory)))
    return (names, *counted, *made_server_objects(token.id, owner, made_server(intent, wish.node)))


def revoke_token(api: KubeClient, token_id: str) -> bool:
    """Take a token back: no one is let in with it, once the API servers' ten seconds of memory are over. False where
    there is none of that id. Raises KubeError."""
    there = api.delete("Secret", f"bootstrap-token-{token_id}", TOKENS_NAMESPACE)
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
