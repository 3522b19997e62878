"""From a node with a container runtime to a Ready Node: the kubelet joins by TLS bootstrap.

The token that it joins with is made for this node alone, lives for an hour at most, and is deleted when the node is
Ready.
Source: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from bootstrap.clients.tunnel import ApiServers, any_api, ask_api
from bootstrap.constants.paths import BOOTSTRAP_CONF, KUBELET_CERTIFICATE, KUBELET_PENDING_KEY
from bootstrap.constants.ports import LOCAL_API_PORT
from bootstrap.engine.action import Action, Context
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.inventory.model import Role
from bootstrap.phases.changes import unit_changes
from bootstrap.phases.deploy import commands
from bootstrap.phases.deploy.commands import stop_units
from bootstrap.phases.deploy.services import ensure_units, put_files, would_restart
from bootstrap.phases.reasons import judged, not_running
from bootstrap.pki.kubeconfig import to_yaml, token_kubeconfig
from bootstrap.pki.x509 import expires, signed_by
from bootstrap.protocol.files import NodeFile
from bootstrap.protocol.nodes import is_ready
from bootstrap.protocol.token import Token
from bootstrap.spec.node import Desired
from bootstrap.spec.node_services import KUBELET
from bootstrap.tokens.kubelet import give_token, take_tokens_back

READY_SECONDS = 1800.0


def joined(node: str) -> str:
    """The id of the action that makes a node Ready; it comes last of what may restart something there."""
    return f"{node}/join"


def join_actions(desired: Desired, servers: ApiServers) -> list[Action[ClusterFacts]]:
    """The action that makes a node a Ready member of the cluster."""
    name = desired.node.name
    own = (f"{name}/control-plane",) if desired.node.role is Role.SERVER else ()
    return [
        Action(
            id=joined(name),
            node=name,
            step="join",
            title="join the kubelet to the cluster",
            check=judged(name, lambda facts, world: join_reason(desired, facts, world)),
            apply=lambda context: join(context, desired, servers),
            needs=(f"{name}/runtime", "cluster/objects", *own),
            restarts=tuple(unit.name for unit in desired.kubelet),
            changes=unit_changes(desired.kubelet, name),
        )
    ]


def join(context: Context, desired: Desired, servers: ApiServers) -> None:
    """Start the kubelet, with a token of its own where it has no certificate that is still good, and wait until the
    Node is Ready; what a kubelet told before it was restarted does not count. Raises ClusterupError."""
    name = desired.node.name
    (kubelet,) = (unit for unit in desired.kubelet if unit.name == KUBELET)
    uncertified = not has_certificate(context, name, servers.keys.pki.ca.cert_pem)
    stale = _last_told(context, name, servers) if uncertified or would_restart(context, name, kubelet) else None
    if uncertified:
        _take_tokens_back(context, name, servers)
        # One that asks with an older token goes on with that, whatever is in the file.
        context.on(name).check(stop_units([KUBELET]))
        context.on(name).check(commands.remove_file(KUBELET_PENDING_KEY))
        _give_token(context, desired, servers)
    try:
        ensure_units(context, name, desired.kubelet)
        context.wait_until(
            lambda: _ready(context, name, servers, stale),
            what=f"Node {name} to be Ready",
            timeout=READY_SECONDS,
            every=5.0,
        )
    except ClusterupError:
        # What went wrong is the thing to say; a token that can't be taken back ends by itself.
        with suppress(ClusterupError):
            _take_tokens_back(context, name, servers)
        raise
    _take_tokens_back(context, name, servers)


def has_certificate(context: Context, name: str, ca_pem: bytes) -> bool:
    """Whether the kubelet has a client certificate of the cluster's that has not ended: with one that has, it can't
    ask for another, and takes a token instead."""
    found = context.on(name).check(commands.read_certificates(KUBELET_CERTIFICATE)).stdout
    try:
        return signed_by(found, ca_pem) and expires(found) > datetime.now(UTC)
    except ValueError:
        return False


def _give_token(context: Context, desired: Desired, servers: ApiServers) -> None:
    name, role = desired.node.name, desired.node.role
    token = ask_api(context, servers, lambda api: give_token(api, name, role), what=f"a token that {name} joins with")
    put_files(context, name, [bootstrap_file(servers.cluster, servers.keys.pki.ca.cert_pem, token)])


def bootstrap_file(cluster: str, ca_pem: bytes, token: Token) -> NodeFile:
    """What a kubelet joins with: it asks the API servers through the node's own balancer."""
    server = f"https://127.0.0.1:{LOCAL_API_PORT}"
    return NodeFile(BOOTSTRAP_CONF, to_yaml(token_kubeconfig(cluster, server, ca_pem, token.reveal())), 0o600)


def _take_tokens_back(context: Context, name: str, servers: ApiServers) -> None:
    ask_api(context, servers, lambda api: take_tokens_back(api, name), what="the end of the tokens that it joined with")
    # Last: while it is there, the next apply knows that a token may be, too.
    context.on(name).check(commands.remove_file(BOOTSTRAP_CONF))


def _last_told(context: Context, name: str, servers: ApiServers) -> str | None:
    """As `told_at`, of a node's Node; None also where no one can say."""
    # Whether an API server answers is waited for later.
    with suppress(ClusterupError), any_api(context, servers) as api:
        return told_at(api.get("Node", name) or {})
    return None


def _ready(context: Context, name: str, servers: ApiServers, stale: str | None) -> bool:
    # Not out of an API server's memory, which may be behind what is stale.
    with any_api(context, servers) as api:
        node = api.get("Node", name)
    return node is not None and is_ready(node) and (stale is None or told_at(node) != stale)


def told_at(node: Mapping[str, Any]) -> str | None:
    """When a kubelet told last how its Node is, by its own clock; None where it never did. One that has just been
    started tells at once, one that runs every five minutes where nothing changes.

    Source: https://kubernetes.io/docs/reference/node/node-status/#heartbeats
    """
    conditions = node.get("status", {}).get("conditions") or []
    return next((entry.get("lastHeartbeatTime") for entry in conditions if entry.get("type") == "Ready"), None)


def join_reason(desired: Desired, facts: NodeFacts, world: ClusterFacts) -> str | None:
    """Why the kubelet of an installed node has to join, or None where it has."""
    name = desired.node.name
    if KUBELET_CERTIFICATE not in facts.files:
        return "its kubelet has no certificate yet"
    if world.api is None:
        return "no API server answers"
    node = world.api.objects.get(f"Node/{name}")
    if node is None:
        return "the cluster has no Node of its name"
    if not is_ready(node):
        return "its Node is not Ready"
    if BOOTSTRAP_CONF in facts.files:
        return "the token that it joined with has not been taken back"
    return not_running(desired.kubelet, facts)
