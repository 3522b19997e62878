"""What speaks against joining a server with a token, found before the token is used up and anything is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from bootstrap.adopt.fetch import HandedOver
from bootstrap.constants.paths import HANDOVER
from bootstrap.constants.ports import API_PORT, ETCD_PEER_PORT
from bootstrap.engine.connections import Connections
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.cluster import read_well
from bootstrap.facts.model import ClusterFacts, EtcdMemberFacts
from bootstrap.image.bundle import Bundle
from bootstrap.image.manifest import bundle_of
from bootstrap.inventory.model import Node
from bootstrap.joining.node import STEP
from bootstrap.joining.preflight import address_and_name_problems, name_taken, places_out_of_reach
from bootstrap.joining.server import Prospect
from bootstrap.operations.intent import Intent
from bootstrap.phases.pinned import parts_of
from bootstrap.protocol.nodes import is_ready
from bootstrap.state.handover import Handover


def check_same_bundle(handover: Handover, bundle: Bundle) -> None:
    """Raise Refused where the bundle holds another payload or other images than the cluster's nodes have: an apply
    would bring them to every node."""
    theirs = bundle_of(bundle.directory, handover.bundle)
    if other := parts_of(theirs).other_than(parts_of(bundle)):
        raise Refused(
            "the bundle here is not the one that the cluster's nodes are made of",
            step=STEP,
            tried=f"compare {bundle.directory} with what was handed over",
            got=f"here version {bundle.version}, there {theirs.version}; other ones: {', '.join(other)}",
            hint="copy the bundle's folder from the cluster's operator and name it with --bundle",
        )


def server_problems(
    prospect: Prospect, intent: Intent, world: ClusterFacts, connections: Connections
) -> list[ClusterupError]:
    """All that speaks against it, apart from what speaks against an apply."""
    node = prospect.node
    if node.name in world.unreachable:
        # What was said of it says everything.
        return []
    servers = prospect.present.networked_servers
    problems: list[ClusterupError] = [*stale_problems(prospect.found, servers, world)]
    # Who the members have to be is not known where that is so.
    if not problems:
        problems += quorum_problems(node.name, servers, world, _well(servers, intent, world, connections))
    found = (world.api.objects if world.api else {}).get(f"Node/{node.name}")
    if found is not None and is_ready(found):
        problems.append(name_taken(node.name, found))
    facts = world.nodes[node.name]
    problems += address_and_name_problems(node, intent.state.cluster_id, facts)
    there = [server for server in servers if _seen(server, world)]
    places = [f"{server.address}:{port}" for server in there for port in (ETCD_PEER_PORT, API_PORT)]
    if away := places_out_of_reach(places, connections.on(node.name)):
        problems.append(
            _refused(
                node.name,
                "the machine does not reach every server of the cluster",
                tried=f"connect from the machine to {', '.join(places)}",
                got=f"no connection to {', '.join(away)}",
                hint="members of etcd talk to each other: is it on their network, and does a firewall let it through?",
            )
        )
    return problems


def quorum_problems(
    joins: str, servers: Sequence[Node], world: ClusterFacts, well: Collection[str]
) -> Iterator[ClusterupError]:
    """Where one more server would make the quorum worse: somebody of it is missing already, or waits for a vote.

    `well` are the servers whose members have a vote and answer through the quorum.
    """
    names = [server.name for server in servers]
    away = {name: world.unreachable[name] for name in names if name in world.unreachable}
    if world.etcd is None:
        yield _refused(
            joins,
            "no member of the cluster's etcd answers",
            tried=f"ask etcd on {', '.join(names)}, over SSH from this machine",
            got="; ".join(f"{name}: {error.problem}" for name, error in away.items()) or "it does not run there",
            hint="start the servers, see that this machine reaches them, then join: the token was not used up",
        )
        return
    for member in world.etcd.members:
        name = _called(member)
        if member.learner:
            yield _refused(
                joins,
                f"{name} waits for its vote in etcd, and there is one learner at a time",
                tried="look at the members of etcd",
                got=f"{name} is a learner",
                hint="`clusterup apply` of the cluster's operator gives it its vote, `clusterup remove` takes it out; "
                "then join: the token was not used up",
            )
        elif name not in well:
            yield _refused(
                joins,
                f"{name} is a member of etcd and not healthy; one more member would make the quorum worse",
                tried="ask each member, over SSH from this machine",
                got=_unwell(name, names, world),
                hint=f"start {name} and see with `clusterup status` that it answers, or take it out with `clusterup "
                "remove`; then join: the token was not used up",
            )


def stale_problems(found: HandedOver, servers: Sequence[Node], world: ClusterFacts) -> Iterator[ClusterupError]:
    """Where somebody has applied since the token was made: what was handed over would take that back."""
    files = {server.name: world.nodes[server.name].files.get(HANDOVER) for server in servers if _seen(server, world)}
    other = [name for name, sha256 in files.items() if sha256 != found.sha256]
    if other:
        yield Refused(
            "what the token opens is not what was applied last",
            step=STEP,
            tried=f"compare it with {HANDOVER} on {', '.join(files)}",
            got=f"another one on {', '.join(other)}: somebody has applied since the token was made, or the inventory "
            "that it was made with was not applied",
            hint="revoke this token; who applied last makes another one, anybody else after `clusterup adopt`",
        )


def _well(servers: Sequence[Node], intent: Intent, world: ClusterFacts, connections: Connections) -> frozenset[str]:
    return read_well(world.nodes, [server.name for server in servers], connections, intent.keys)


def _seen(server: Node, world: ClusterFacts) -> bool:
    return server.name in world.nodes


def _called(member: EtcdMemberFacts) -> str:
    return member.name or ", ".join(member.peer_urls)


def _unwell(name: str, servers: Sequence[str], world: ClusterFacts) -> str:
    if name in world.unreachable:
        error = world.unreachable[name]
        return f"{error.problem} ({error.got})" if error.got else error.problem
    if name not in servers:
        return "it is in etcd, and not in the cluster's inventory"
    return "its etcd does not answer through the quorum"


def _refused(node: str, problem: str, *, tried: str, got: str, hint: str) -> Refused:
    return Refused(problem, node=node, step=STEP, tried=tried, got=got, hint=hint)
