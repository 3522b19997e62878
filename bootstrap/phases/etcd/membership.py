"""The quorum: a first member that founds it, and all others as learners that are promoted when they have caught up.

A member that was added is never added twice, and one whose data is gone is replaced: the action looks at the members
when it runs, so that it goes on from whatever an interruption left.
Source: https://etcd.io/docs/v3.5/learning/design-learner/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bootstrap.clients.etcd import EtcdClient, LearnerNotReady, NotSettled
from bootstrap.clients.tunnel import etcd_at
from bootstrap.constants.paths import ETCD_DATA
from bootstrap.engine.action import Action, Context
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.inventory.model import Node
from bootstrap.phases.changes import unit_changes
from bootstrap.phases.deploy import commands
from bootstrap.phases.deploy.services import begin_units, ensure_units, put_files
from bootstrap.phases.reasons import judged, not_running
from bootstrap.phases.rolling import spare_member
from bootstrap.protocol.learner import Member, OtherLearner, Own, added_as_learner, initial_cluster
from bootstrap.spec.etcd import birth_file, peer_url
from bootstrap.spec.node import Desired
from bootstrap.state.credentials import OperatorKeys

SETTLE_SECONDS = 120.0
PROMOTE_SECONDS = 300.0


@dataclass(frozen=True)
class Quorum:
    """The servers, what opens their etcd, who founds the cluster (None when it has been founded), what notes that it
    was, and which servers wait for the vote of which others before they join."""

    servers: tuple[Node, ...]
    keys: OperatorKeys
    founder: str | None
    note_founded: Callable[[], None]
    waiting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def founder_of(servers: Sequence[Node], world: ClusterFacts) -> str | None:
    """Who founds the cluster: the first server that can be reached, when none of those has data of etcd."""
    reached = [server.name for server in servers if server.name in world.nodes]
    if world.etcd is not None or any(world.nodes[name].etcd_data for name in reached):
        return None
    return reached[0] if reached else None


def waiting_for_learners(servers: Sequence[Node], world: ClusterFacts) -> Mapping[str, tuple[str, ...]]:
    """The servers that are not members yet, each with the servers that are learners: etcd has one learner at a time,
    and would take no other until that one has its vote."""
    members = world.etcd.members if world.etcd else ()
    known = {
        server.name: member
        for server in servers
        for member in members
        if member.name == server.name or peer_url(server.address) in member.peer_urls
    }
    learners = tuple(name for name, member in known.items() if member.learner)
    return {server.name: learners for server in servers if server.name not in known}


def etcd_actions(desired: Desired, quorum: Quorum) -> list[Action[ClusterFacts]]:
    """The actions that make a server a voting member."""
    name = desired.node.name
    founds = name == quorum.founder
    before = () if founds or quorum.founder is None else (quorum.founder,)
    others = tuple(f"{other}/etcd.member" for other in (*before, *quorum.waiting.get(name, ())))
    return [
        Action(
            id=f"{name}/etcd.start",
            node=name,
            step="etcd",
            title="start etcd with the data that is there",
            check=lambda world: _stopped(desired, world.nodes.get(name)),
            apply=lambda context: begin_units(context, name, desired.etcd),
            needs=(f"{name}/payload", f"{name}/files"),
        ),
        Action(
            id=f"{name}/etcd.member",
            node=name,
            step="etcd",
            title="found the etcd cluster" if founds else "join etcd as a learner and become a voting member",
            check=judged(name, lambda facts, world: _reason(desired, facts, world)),
            apply=lambda context: become_member(context, desired, quorum),
            restarts=tuple(unit.name for unit in desired.etcd),
            changes=unit_changes(desired.etcd, name),
            needs=(f"{name}/payload", f"{name}/files", f"{name}/etcd.start", *others),
            # One change of the membership, and one restart of a member, at a time.
            exclusive="etcd",
        ),
    ]


def become_member(context: Context, desired: Desired, quorum: Quorum) -> None:
    """Make a server a voting member from whatever state it is in. Raises ClusterupError."""
    node = desired.node
    if _has_data(context, node) and _was_removed(context, node, quorum):
        context.say("setting aside the data of a member that was removed")
        context.on(node.name).check(commands.set_aside(desired.etcd[0].name, ETCD_DATA), timeout=120)
    if not _has_data(context, node):
        if node.name == quorum.founder:
            birth = birth_file({node.name: peer_url(node.address)}, state="new")
        else:
            birth = birth_file(_members_with(context, node, quorum), state="existing")
        put_files(context, node.name, [birth])
    spare_member(context, node, quorum.servers, quorum.keys)
    ensure_units(context, node.name, desired.etcd)
    if _is_learner(context, node, quorum):
        _promote(context, node, quorum)

    def healthy() -> bool:
        with etcd_at(context.on(node.name), quorum.keys) as own:
            return own.healthy()

    context.wait_until(healthy, what="etcd's answer through the quorum", timeout=SETTLE_SECONDS, every=1.0)
    quorum.note_founded()


def _is_learner(context: Context, node: Node, quorum: Quorum) -> bool:
    def asked() -> bool:
        with etcd_at(context.on(node.name), quorum.keys) as own:
            learner.append(own.status().learner)
        return True

    learner: list[bool] = []
    context.wait_until(asked, what="etcd to say whether it has a vote", timeout=SETTLE_SECONDS, every=1.0)
    return learner[-1]


def _has_data(context: Context, node: Node) -> bool:
    return context.on(node.name).check(commands.is_there(f"{ETCD_DATA}/member")).text.strip() == "yes"


def _was_removed(context: Context, node: Node, quorum: Quorum) -> bool:
    """Whether the quorum knows no such member: what it has kept is of no use to anybody then. False where there is no
    quorum to ask."""
    try:
        with _voter(context, node, quorum) as client:
            members = client.members()
    except ClusterupError:
        return False
    url = peer_url(node.address)
    return not any(member.name == node.name or url in member.peer_urls for member in members)


def _members_with(context: Context, node: Node, quorum: Quorum) -> Mapping[str, str]:
    """Names and peer URLs of all members, `node` added as a learner when it is none yet."""
    url = peer_url(node.address)
    own = Own(url, lambda members: [each for each in members if each.name == node.name or url in each.peer_urls])
    members: list[Member] = []

    # Each question goes the way that is open then: the one before may have been lost, and with it an answer.
    def added() -> bool:
        with _voter(context, node, quorum) as client:
            try:
                members[:] = added_as_learner(client, own, context.say)
            except OtherLearner as other:
                raise _waits_for(node, _server_of(other.member, quorum)) from None
        return True

    _settled(context, added, what="etcd to take a new member", timeout=SETTLE_SECONDS)
    return initial_cluster(members, lambda member: _server_of(member, quorum))


def _server_of(member: Member, quorum: Quorum) -> str:
    names = {peer_url(server.address): server.name for server in quorum.servers}
    return member.name or names.get(member.peer_urls[0], f"{member.id:x}")


def _waits_for(node: Node, learner: str) -> ClusterupError:
    """Left by a server whose action failed, a learner stays one until that is done again: to wait for it would be in
    vain."""
    error = ClusterupError(
        f"it can't join etcd before {learner} has its vote",
        node=node.name,
        step="etcd",
        tried="add it to the members as a learner, of which etcd has one at a time",
        got=f"{learner} is a learner",
        hint=f"see that {learner} is up, then run the command again: it gets its vote first",
    )
    error.final = True
    return error


def _promote(context: Context, node: Node, quorum: Quorum) -> None:
    def promoted() -> bool:
        with _voter(context, node, quorum) as client:
            member = _named(client.members(), node)
            if member.learner:
                client.promote(member.id)
        return True

    _settled(context, promoted, what="the learner to catch up", timeout=PROMOTE_SECONDS)


def _named(members: Sequence[Member], node: Node) -> Member:
    for member in members:
        if member.name == node.name:
            return member
    error = ClusterupError(
        "it runs etcd and is not a member of the cluster",
        node=node.name,
        step="etcd",
        tried="look for it among the members",
        got=", ".join(member.name or f"{member.id:x}" for member in members),
        hint=f"its data is that of a removed member: move {ETCD_DATA} away on it, then run the command again",
    )
    error.final = True
    raise error


def _settled(context: Context, change: Callable[[], bool], *, what: str, timeout: float) -> None:
    """Make a change of the membership as soon as the cluster has got over the one before."""

    def done() -> bool:
        try:
            return change()
        except (LearnerNotReady, NotSettled):
            return False

    context.wait_until(done, what=what, timeout=timeout, every=1.0)


@contextmanager
def _voter(context: Context, node: Node, quorum: Quorum) -> Iterator[EtcdClient]:
    """A client of a voting member on another server. Raises ClusterupError where none answers."""
    said: list[str] = []
    for server in quorum.servers:
        if server.name == node.name:
            continue
        with ExitStack() as stack:
            try:
                client = stack.enter_context(etcd_at(context.on(server.name), quorum.keys))
                voter = client.healthy() and not client.status().learner
            except ClusterupError as error:
                said.append(f"{server.name}: {error.problem}")
                continue
            if voter:
                yield client
                return
            said.append(f"{server.name}: does not answer through the quorum")
    raise ClusterupError(
        "no member of the quorum answers",
        node=node.name,
        step="etcd",
        tried="ask the other servers",
        got="; ".join(said) or "there is no other server",
        hint="a majority of the servers has to be up: start them, look at `journalctl -u etcd`, then run the command "
        "again",
    )


def _stopped(desired: Desired, facts: NodeFacts | None) -> str | None:
    """Why etcd has to be started at once, all servers together: a quorum that was off needs several to answer."""
    (unit,) = desired.etcd
    if facts is None or not facts.etcd_data:
        return None
    found = facts.units.get(unit.name)
    active = found.active if found else "not there"
    return None if active in ("active", "activating") else f"etcd is {active}"


def _reason(desired: Desired, facts: NodeFacts, world: ClusterFacts) -> str | None:
    name = desired.node.name
    if world.etcd is None:
        return "no etcd answers"
    member = world.etcd.named(name)
    if member is None:
        return "it is not a member of the etcd cluster"
    if member.learner:
        return "it is a learner without a vote"
    if not facts.etcd_data:
        return "its etcd data is gone"
    return not_running(desired.etcd, facts)
