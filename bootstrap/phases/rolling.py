"""Restarts of servers that serve: one server after the other, and none that the cluster can't do without right now.

What has to be done on a server that serves waits until everything on the one before it is done and its Node is Ready: a
change that breaks the first stops there. Servers that do not serve yet wait for no one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise

from bootstrap.clients.etcd import EtcdClient, healthy_voter
from bootstrap.clients.tunnel import ApiServers, api_at, etcd_at
from bootstrap.engine.action import Action, Context
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import Node
from bootstrap.machine.units import Unit
from bootstrap.phases.deploy.services import would_restart
from bootstrap.phases.kubelet import joined
from bootstrap.state.credentials import OperatorKeys

SPARE_SECONDS = 300.0


def serving(world: ClusterFacts, servers: Sequence[str]) -> list[str]:
    """The servers, in the same order, that run a part of a cluster that answers. A learner serves no one: it has no
    vote, and its server no API server."""
    if world.etcd is None and world.api is None:
        return []
    learners = {member.name for member in world.etcd.members if member.learner} if world.etcd else set()
    units = ("etcd.service", "kube-apiserver.service")
    return [
        name
        for name in servers
        if name in world.nodes
        and name not in learners
        and any(found.active == "active" for unit in units if (found := world.nodes[name].units.get(unit)) is not None)
    ]


def one_after_the_other(actions: Sequence[Action[ClusterFacts]], names: Sequence[str]) -> list[Action[ClusterFacts]]:
    """The actions, with those that restart something on one of the named servers waiting for the server before."""
    before = {name: joined(earlier) for earlier, name in pairwise(names)}
    return [
        dataclasses.replace(action, needs=(*action.needs, before[action.node]))
        if action.restarts and action.node in before
        else action
        for action in actions
    ]


def spare_member(context: Context, node: Node, servers: Sequence[Node], keys: OperatorKeys) -> None:
    """Wait until the quorum can do without the member on `node`, where it serves. Raises ClusterupError when that does
    not come about, with the arithmetic."""
    others = [server.name for server in servers if server.name != node.name]
    if others and _serves(lambda: asked(context, node.name, keys, EtcdClient.healthy)):
        context.wait_until(
            lambda: _can_spare(context, node.name, others, keys),
            what=f"the other members of etcd, before {node.name}'s is restarted",
            timeout=SPARE_SECONDS,
            every=2.0,
        )


def spare_api_server(context: Context, node: str, unit: Unit, servers: ApiServers) -> None:
    """Wait until another API server is ready, where the one on `node` is and would be restarted. Raises
    ClusterupError when that does not come about."""
    others = [name for name in servers.names if name != node]
    if not others or not would_restart(context, node, unit):
        return
    if not _serves(lambda: _api_ready(context, node, servers.keys)):
        return

    def another() -> bool:
        if any(_api_ready(context, name, servers.keys) for name in others):
            return True
        raise ClusterupError(
            "no other API server is ready",
            got=f"/readyz on {', '.join(others)}: not ready",
            hint="look at `journalctl -u kube-apiserver` there, then run the command again: it goes on from here",
        )

    context.wait_until(
        another, what=f"another API server, before {node}'s is restarted", timeout=SPARE_SECONDS, every=2.0
    )


def _serves(question: Callable[[], bool]) -> bool:
    """Whether something serves; asked twice, as one slow answer would let it be restarted while it is needed."""
    return question() or question()


def _can_spare(context: Context, node: str, others: Sequence[str], keys: OperatorKeys) -> bool:
    with etcd_at(context.on(node), keys) as own:
        voters = [member for member in own.members() if not member.learner]
    well = [name for name in others if asked(context, name, keys, healthy_voter)]
    quorum = len(voters) // 2 + 1
    # Of two members none can be spared, and yet both have to be restarted some day: then all others have to be well.
    if len(well) >= min(quorum, len(voters) - 1):
        return True
    raise ClusterupError(
        f"without it, {len(well)} of etcd's {len(voters)} members would be left, and {quorum} are the quorum",
        node=node,
        got=f"well are: {', '.join(well) or 'none of the others'}",
        hint="start the other servers, look at `journalctl -u etcd` on them, then run the command again",
    )


def asked(context: Context, node: str, keys: OperatorKeys, question: Callable[[EtcdClient], bool]) -> bool:
    """What the member on a server answers; False where it gives none."""
    try:
        with etcd_at(context.on(node), keys) as client:
            return question(client)
    except ClusterupError:
        return False


def _api_ready(context: Context, node: str, keys: OperatorKeys) -> bool:
    try:
        with api_at(context.on(node), keys) as api:
            return api.ready()
    except ClusterupError:
        return False
