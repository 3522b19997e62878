"""Taking a server's member out of etcd, where those that are left are a quorum without it.

Source: https://etcd.io/docs/v3.5/op-guide/runtime-configuration/#remove-a-member
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from bootstrap.clients.etcd import EtcdClient, EtcdError, NotSettled, healthy_voter
from bootstrap.clients.tunnel import etcd_at
from bootstrap.engine.action import Context
from bootstrap.errors import ClusterupError, Interrupted, Refused
from bootstrap.inventory.model import Node
from bootstrap.phases.deploy.commands import stop_units
from bootstrap.phases.etcd.quorum import QuorumLeft, quorums_left
from bootstrap.phases.rolling import asked
from bootstrap.protocol.learner import Member
from bootstrap.spec.etcd import peer_url
from bootstrap.state.credentials import OperatorKeys

SETTLE_SECONDS = 120.0
STOP_SECONDS = 180.0
# How long a member may take to answer before it does not count.
COUNTED_SECONDS = 30.0
# The last first: what talks to the API server ends before it does.
CONTROL_PLANE = ("kube-scheduler.service", "kube-controller-manager.service", "kube-apiserver.service")


@dataclass(frozen=True, slots=True)
class Leaver:
    """A server that leaves: its name, and its peer URL where its address is known."""

    name: str
    peer_url: str | None

    @classmethod
    def of(cls, name: str, entry: Node | None) -> Leaver:
        return cls(name, peer_url(entry.address) if entry is not None else None)

    def is_member(self, name: str, peer_urls: Sequence[str]) -> bool:
        """Whether a member is its. One that never started has no name."""
        return name == self.name or (not name and self.peer_url in peer_urls)


def leave_etcd(
    context: Context, leaver: Leaver, servers: Sequence[str], keys: OperatorKeys, on_machine: Sequence[str]
) -> None:
    """Remove the member, asking `servers`: those that stay, and then those that leave later.

    On the nodes in `on_machine` (the one that leaves, where it can be reached) the control plane is stopped first, so
    that no one is served by one that is about to lose its etcd; a member that leads hands that on. Raises Refused where
    what is left would not be a quorum, ClusterupError for all else.
    """
    members = _members(context, servers, keys)
    mine = _own(members, leaver)
    if mine is None:
        return
    if not mine.learner:
        _require_quorum(context, members, leaver.name, servers, keys)
        for node in on_machine:
            context.say("stopping its control plane")
            context.on(node).check(stop_units(CONTROL_PLANE), timeout=STOP_SECONDS)
            _hand_on(context, node, members, servers, keys)

    def removed() -> bool:
        with any_voter(context, servers, keys) as client:
            there = _own(client.members(), leaver)
            # A change of the membership waits until the cluster has got over the one before.
            with suppress(NotSettled):
                if there is not None:
                    client.remove(there.id)
            return _own(client.members(), leaver) is None

    context.wait_until(removed, what="etcd to let the member go", timeout=SETTLE_SECONDS, every=1.0)


def _members(context: Context, servers: Sequence[str], keys: OperatorKeys) -> Sequence[Member]:
    found: list[Member] = []

    def told() -> bool:
        with any_voter(context, servers, keys) as client:
            found[:] = client.members()
        return True

    context.wait_until(told, what="etcd to say who its members are", timeout=SETTLE_SECONDS, every=1.0)
    return found


def _require_quorum(
    context: Context, members: Sequence[Member], leaving: str, servers: Sequence[str], keys: OperatorKeys
) -> None:
    """Raise Refused where what is left would not be a quorum, also when members had some time to answer."""
    left: list[QuorumLeft] = []

    def holds() -> bool:
        left.append(quorum_without(context, members, leaving, servers, keys))
        return left[-1].holds

    try:
        context.wait_until(holds, what="a quorum of those that stay", timeout=COUNTED_SECONDS, every=1.0)
    except Interrupted:
        raise
    except ClusterupError:
        raise below_quorum(left[-1]) from None


def quorum_without(
    context: Context, members: Sequence[Member], leaving: str, servers: Sequence[str], keys: OperatorKeys
) -> QuorumLeft:
    """What would be left of the quorum as it is now."""
    voters = [member.name for member in members if not member.learner]
    well = [name for name in servers if asked(context, name, keys, healthy_voter)]
    return quorums_left(voters, [leaving], well)[leaving]


def below_quorum(left: QuorumLeft) -> Refused:
    """That a server can't leave, with the arithmetic."""
    if left.left == 0:
        hint = "the last server takes the cluster with it: `clusterup down`; or add another server first, and apply"
    else:
        hint = "start the other servers, see with `clusterup status` that they answer, or apply to fix them; then again"
    return Refused(
        "without it, etcd would have no quorum",
        node=left.leaving,
        step="leave",
        tried="count the members that would be left and answer",
        got=str(left),
        hint=hint,
    )


def _own(members: Sequence[Member], leaver: Leaver) -> Member | None:
    return next((member for member in members if leaver.is_member(member.name, member.peer_urls)), None)


def _hand_on(
    context: Context, node: str, members: Sequence[Member], servers: Sequence[str], keys: OperatorKeys
) -> None:
    """Let another member lead, where this one does: the cluster is spared an election. Where that does not succeed,
    etcd elects one."""
    well = [name for name in servers if asked(context, name, keys, healthy_voter)]
    heir = next((member for name in well for member in members if member.name == name), None)
    with suppress(EtcdError), etcd_at(context.on(node), keys) as own:
        leads = next((member.name for member in members if member.id == own.status().leader), None)
        if heir is not None and leads == node:
            context.say(f"{heir.name} is to lead etcd")
            own.move_leader(heir.id)


@contextmanager
def any_voter(context: Context, servers: Sequence[str], keys: OperatorKeys) -> Iterator[EtcdClient]:
    """A client of a voter on one of the servers. Raises ClusterupError where none answers through the quorum."""
    for name in servers:
        if asked(context, name, keys, healthy_voter):
            with etcd_at(context.on(name), keys) as client:
                yield client
            return
    raise ClusterupError(
        "no member of the quorum answers on the servers that stay",
        step="leave",
        tried=f"ask {', '.join(servers) or 'no one: there is no other server'}",
        hint="a majority of the servers has to be up: start them, look at `journalctl -u etcd`, then run this again",
    )
