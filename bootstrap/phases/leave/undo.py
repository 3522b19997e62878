"""Taking the learner out of etcd again that a failed join has left: its own, and never another member.

A member with a vote stays, and so does what else was done: an apply goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from bootstrap.clients.etcd import NotSettled
from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import Node
from bootstrap.phases.leave.etcd import SETTLE_SECONDS, any_voter
from bootstrap.protocol.learner import Member
from bootstrap.spec.etcd import peer_url
from bootstrap.state.credentials import OperatorKeys


@dataclass
class TakenBack:
    """What was found of the server's own in etcd: whether a learner was removed, whether it has a vote."""

    removed: bool = False
    votes: bool = False


def own_member(members: Sequence[Member], node: Node) -> Member | None:
    """The member that was added for the server: at its address, and of its name or without one. One of its name at
    another address is somebody else's."""
    url = peer_url(node.address)
    return next((each for each in members if url in each.peer_urls and each.name in ("", node.name)), None)


def take_back_action(node: Node, servers: Sequence[str], keys: OperatorKeys, told: TakenBack) -> Action[ClusterFacts]:
    """The action that removes the server's member, where that has no vote; what came of it is put into `told`."""
    return Action(
        id=f"{node.name}/etcd.take-back",
        node=node.name,
        step="etcd",
        title="take its learner out of etcd again",
        check=lambda _: "its join failed",
        apply=lambda context: take_back(context, node, servers, keys, told),
        exclusive="etcd",
    )


def take_back(context: Context, node: Node, servers: Sequence[str], keys: OperatorKeys, told: TakenBack) -> None:
    """Remove the server's member where it has no vote, asking `servers`, the others. Raises ClusterupError."""

    def gone() -> bool:
        with any_voter(context, servers, keys) as client:
            mine = own_member(client.members(), node)
            told.votes = mine is not None and not mine.learner
            if mine is None or told.votes:
                return True
            # A change of the membership waits until the cluster has got over the one before.
            with suppress(NotSettled):
                client.remove(mine.id)
                told.removed = True
            return own_member(client.members(), node) is None

    context.wait_until(gone, what="etcd to let the learner go", timeout=SETTLE_SECONDS, every=1.0)
