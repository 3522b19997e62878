"""The way into a quorum: a server is added as a learner, catches up without a vote, and is given one.

What a server finds may be what an earlier try left: it is looked at first, so that a second try goes on from there.
How etcd is asked is the caller's matter, and so is when to ask again.
Source: https://etcd.io/docs/v3.5/learning/design-learner/, https://etcd.io/docs/v3.5/op-guide/runtime-configuration/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Member:
    """A member; `name` is empty until it has started once."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool


class Members(Protocol):
    """The quorum's members: who they are, and how they change. Raises what its maker says."""

    def members(self) -> tuple[Member, ...]:
        """All members, learners included."""

    def add_learner(self, peer_url: str) -> object:
        """Add a member that has no vote yet, reached by its peers at `peer_url`."""

    def promote(self, member_id: int) -> None:
        """Give a learner its vote."""

    def remove(self, member_id: int) -> None:
        """Take a member out."""


@dataclass(frozen=True, slots=True)
class Own:
    """The server that comes in: where its peers reach it, and which members were added for it."""

    url: str
    among: Callable[[Sequence[Member]], Sequence[Member]]


class OtherLearner(Exception):
    """`member` is a learner, and etcd has one at a time: it needs its vote first."""

    def __init__(self, member: Member) -> None:
        super().__init__(f"{member.name or member.id} is a learner")
        self.member = member


def added_as_learner(etcd: Members, own: Own, say: Callable[[str], None]) -> tuple[Member, ...]:
    """All members, the server added as a learner where it is none yet; for a server without data. Raises OtherLearner,
    and what `etcd` does."""
    found = etcd.members()
    mine = own.among(found)
    for member in found:
        if member.learner and member not in mine:
            raise OtherLearner(member)
    for stale in mine:
        # It has started before, and its data is gone: the quorum must not wait for what it promised.
        if stale.name:
            say(f"removing the member whose data is gone ({stale.id:x})")
            etcd.remove(stale.id)
    if all(member.name for member in mine):
        etcd.add_learner(own.url)
    return etcd.members()


def initial_cluster(members: Sequence[Member], name_of: Callable[[Member], str]) -> dict[str, str]:
    """What etcd's first start is told of all members: their peer URLs by name. `name_of` names those that have not
    started yet as well."""
    return {name_of(member): member.peer_urls[0] for member in members}


def first_start(members: Mapping[str, str], *, state: str) -> str:
    """The environment of etcd's first start. `state` is "new" for the member that founds a cluster, and "existing" for
    one that was added. Source: https://etcd.io/docs/v3.5/op-guide/configuration/"""
    cluster = ",".join(f"{name}={url}" for name, url in members.items())
    return f"ETCD_INITIAL_CLUSTER={cluster}\nETCD_INITIAL_CLUSTER_STATE={state}\n"
