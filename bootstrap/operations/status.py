"""What there is of a cluster now: nodes, the quorum with its leader and the lag of each member, the API servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from bootstrap.clients.etcd import EtcdClient, EtcdSlow
from bootstrap.clients.kubernetes_errors import KubeSlow
from bootstrap.clients.tunnel import api_at, etcd_at
from bootstrap.constants.objects import CONTROL_PLANE
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import unobserved
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import Node, Role
from bootstrap.operations.intent import Intent
from bootstrap.operations.planning import look
from bootstrap.phases.node_metadata import leaving_since
from bootstrap.state.membership import Membership, read_membership
from bootstrap.system_errors import as_error

T = TypeVar("T")
INTERNAL = "InternalIP"
_ALARM = re.compile(r"memberID:\s*(\d{1,20})\s+alarm:\s*(\w+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node: `state` is Ready, NotReady, installed, live, bare or unreachable; `problem` says what is wrong with the
    way into it, `note` what else is to be known: that it leaves, or that the inventory does not have it. Versions are
    None where they can't be known."""

    name: str
    role: str
    address: str
    state: str
    os: str | None
    kubelet: str | None
    problem: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class MemberHealth:
    """An etcd member. `lag` counts the raft entries by which it is behind the furthest member, `db_size` is bytes; None
    where it does not answer. `alarms` are those that it raises: NOSPACE, CORRUPT."""

    name: str
    voter: bool
    leader: bool
    lag: int | None
    db_size: int | None
    version: str | None
    problem: str | None = None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiHealth:
    """An API server, asked through its own node."""

    node: str
    ready: bool
    version: str | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A whole cluster. `alarms` are those that are left of members of etcd that are none any more."""

    cluster: str
    nodes: tuple[NodeStatus, ...]
    etcd: tuple[MemberHealth, ...]
    api: tuple[ApiHealth, ...]
    alarms: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Every node Ready, every member a voter that answers, every API server ready."""
        return (
            all(node.state == "Ready" for node in self.nodes)
            and bool(self.etcd)
            and all(member.voter and member.lag is not None and not member.alarms for member in self.etcd)
            and all(server.ready for server in self.api)
            and not self.alarms
        )

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "healthy": self.healthy}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one member says of itself."""

    member_id: int
    leader: int
    raft_index: int
    db_size: int
    version: str
    errors: tuple[str, ...]


def cluster_status(intent: Intent, connections: Connections, *, parallel: int) -> ClusterStatus:
    """Ask every node, every etcd member and every API server at once. What can't be reached is in the answer."""
    world = look(intent, connections, parallel=parallel, observe=unobserved)
    return status_of(intent, world, connections, parallel=parallel)


def status_of(intent: Intent, world: ClusterFacts, connections: Connections, *, parallel: int) -> ClusterStatus:
    """As `cluster_status`, where the nodes were looked at before."""
    servers = [node for node in intent.inventory.servers if node.name in world.nodes]
    with asking(min(parallel, 2 * len(servers)), "status") as pool:
        members = pool.map(lambda node: (node.name, _ask_member(intent, connections, node)), servers)
        api = pool.map(lambda node: _ask_api(intent, connections, node), servers)
        answers = dict(members)
        return ClusterStatus(
            cluster=intent.inventory.cluster.name,
            nodes=(*(_node(node, world) for node in intent.inventory.nodes), *_others(intent, world)),
            etcd=_members(intent, world, answers),
            api=(*api, *_silent_api(intent, world)),
            alarms=_alarms_of_nobody(world, answers),
        )


def _node(node: Node, world: ClusterFacts) -> NodeStatus:
    facts, failure = world.nodes.get(node.name), world.unreachable.get(node.name)
    found = (world.api.objects.get(f"Node/{node.name}") if world.api else None) or {}
    kubelet = found.get("status", {}).get("nodeInfo", {}).get("kubeletVersion")
    known = world.api.ready.get(node.name) if world.api else None
    if known is not None:
        state = "Ready" if known else "NotReady"
    elif facts is None:
        state = "unreachable"
    else:
        state = "bare" if facts.kind == "other" else facts.kind
    return NodeStatus(
        name=node.name,
        role=node.role.value,
        address=str(node.address),
        state=state,
        os=facts.os_version if facts else None,
        kubelet=kubelet,
        problem=failure.problem if failure else None,
        note=_leaves(found),
    )


def _others(intent: Intent, world: ClusterFacts) -> Iterator[NodeStatus]:
    """The Nodes of the cluster that the inventory does not have."""
    roll = read_membership(intent.state) or Membership()
    left = roll.without_entry(intent.inventory)
    for name, ready in (world.api.ready if world.api else {}).items():
        if name in intent.nodes or world.api is None:
            continue
        found = world.api.objects.get(f"Node/{name}", {})
        status, labels = found.get("status", {}), found.get("metadata", {}).get("labels") or {}
        addresses = [str(each.get("address")) for each in status.get("addresses") or () if each.get("type") == INTERNAL]
        known = "`clusterup apply --prune` removes it" if name in left else "joined with a token"
        yield NodeStatus(
            name=name,
            role=(Role.SERVER if CONTROL_PLANE in labels else Role.AGENT).value,
            address=next(iter(addresses), "-"),
            state="Ready" if ready else "NotReady",
            os=None,
            kubelet=status.get("nodeInfo", {}).get("kubeletVersion"),
            note="; ".join(note for note in (_leaves(found), f"not in the inventory: {known}") if note),
        )


def _leaves(found: Mapping[str, Any]) -> str | None:
    since = leaving_since(found)
    return f"leaving since {since}" if since else None


def _ask_member(intent: Intent, connections: Connections, node: Node) -> _Answer | ClusterupError:
    def ask(client: EtcdClient) -> _Answer:
        status = client.status()
        own = next((member.id for member in client.members() if member.name == node.name), 0)
        return _Answer(own, status.leader, status.raft_index, status.db_size, status.version, status.errors)

    def once() -> _Answer:
        with etcd_at(connections.on(node.name), intent.keys) as client:
            return ask(client)

    try:
        return _asked_twice(once)
    except Exception as error:
        return as_error(error, node=node.name, step="status")


def _members(
    intent: Intent, world: ClusterFacts, answers: Mapping[str, _Answer | ClusterupError]
) -> tuple[MemberHealth, ...]:
    told = [answer for answer in answers.values() if isinstance(answer, _Answer)]
    furthest = max((answer.raft_index for answer in told), default=0)
    leaders = {answer.leader for answer in told}
    alarms = _alarms(answers)
    health = []
    for member in world.etcd.members if world.etcd else ():
        answer = answers.get(member.name)
        fine = isinstance(answer, _Answer)
        health.append(
            MemberHealth(
                name=member.name or f"{member.id:x}",
                voter=not member.learner,
                leader=member.id in leaders,
                lag=furthest - answer.raft_index if isinstance(answer, _Answer) else None,
                db_size=answer.db_size if isinstance(answer, _Answer) else None,
                version=answer.version if isinstance(answer, _Answer) else None,
                problem=None if fine else _problem(answer, member.name in intent.nodes),
                alarms=tuple(sorted(alarms.get(member.id, ()))),
            )
        )
    return tuple(health)


def _alarms(answers: Mapping[str, _Answer | ClusterupError]) -> Mapping[int, set[str]]:
    """The alarms of etcd by the member that raises each: every member tells of all of them.

    Source: https://github.com/etcd-io/etcd/blob/main/server/etcdserver/api/v3rpc/maintenance.go (Status)
    """
    found: dict[int, set[str]] = {}
    for answer in answers.values():
        for said in answer.errors if isinstance(answer, _Answer) else ():
            if alarm := _ALARM.fullmatch(said.strip()):
                found.setdefault(int(alarm[1]), set()).add(alarm[2])
    return found


def _alarms_of_nobody(world: ClusterFacts, answers: Mapping[str, _Answer | ClusterupError]) -> tuple[str, ...]:
    known = {member.id for member in world.etcd.members} if world.etcd else set()
    return tuple(
        f"{alarm} of {member:x}, which is no member any more"
        for member, alarms in sorted(_alarms(answers).items())
        for alarm in sorted(alarms)
        if member not in known
    )


def _problem(answer: _Answer | ClusterupError | None, known: bool) -> str:
    if isinstance(answer, ClusterupError):
        return answer.got or answer.problem
    return "its node can't be reached" if known else "its node is not in the inventory"


def _ask_api(intent: Intent, connections: Connections, node: Node) -> ApiHealth:
    def once() -> ApiHealth:
        with api_at(connections.on(node.name), intent.keys) as api:
            ready = api.says_ready()
            return ApiHealth(node.name, ready, api.version() if ready else None, None if ready else "not ready")

    try:
        return _asked_twice(once)
    except Exception as error:
        found = as_error(error, node=node.name, step="status")
        return ApiHealth(node.name, ready=False, version=None, problem=found.got or found.problem)


def _asked_twice(ask: Callable[[], T]) -> T:
    """What is answered; asked once more where the first answer did not come in its time. What is not there at all says
    so at once, and is not waited for."""
    try:
        return ask()
    except (KubeSlow, EtcdSlow):
        return ask()


def _silent_api(intent: Intent, world: ClusterFacts) -> tuple[ApiHealth, ...]:
    return tuple(
        ApiHealth(name, ready=False, version=None, problem="its node can't be reached")
        for name in intent.servers
        if name not in world.nodes
    )
