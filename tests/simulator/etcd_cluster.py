"""What the members of one etcd cluster agree on: who they are, the keys, the leases. Kept once for all of them.

Simpler than etcd: what one member knows all know at once, a learner has caught up as soon as it runs, and there is no
time after a change of members in which the next is refused.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

from tests.simulator.objects import Objects

_numbers = itertools.count(1)


class Refusal(Exception):
    """etcd says no, in etcd's words; `unavailable` where it would do it another time."""

    def __init__(self, said: str, *, unavailable: bool = False) -> None:
        super().__init__(said)
        self.unavailable = unavailable


class Stopwatch:
    """The clock that leases end by. It can be made to jump: no one waits half a minute for a dead holder's lease."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self.ahead

    def jump(self, seconds: float) -> None:
        self.ahead += seconds


@dataclass
class Member:
    """`name` is empty until it has started. `runs` says whether it does now."""

    id: int
    peer_url: str
    learner: bool
    name: str = ""
    client_url: str = ""
    runs: bool = False


@dataclass
class Key:
    value: bytes
    lease: int
    created: int
    changed: int


@dataclass
class Lease:
    seconds: int
    until: float


@dataclass
class EtcdCluster:
    """One cluster, from its founding on. `objects` are what its API servers keep in it, `forgotten` the members of
    whose votes a server's data does not know, by the server's name, `release` what its members run."""

    watch: Stopwatch
    members: dict[int, Member] = field(default_factory=dict)
    keys: dict[bytes, Key] = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)
    objects: Objects = field(default_factory=Objects)
    revision: int = 1
    forgotten: dict[str, set[int]] = field(default_factory=dict)
    release: str = "3.5.30"

    def add(self, peer_url: str, *, learner: bool) -> Member:
        member = Member(next(_numbers) * 0x1000193, peer_url, learner)
        self.members[member.id] = member
        return member

    def answers(self) -> bool:
        """Whether a majority of the voters runs."""
        voters = [member for member in self.members.values() if not member.learner]
        return sum(member.runs for member in voters) > len(voters) / 2

    def require_quorum(self, by: Member) -> None:
        """Raises Refusal where a member can't answer for the cluster."""
        if by.learner:
            raise Refusal("etcdserver: rpc not supported for learner", unavailable=True)
        if not self.answers():
            raise Refusal("etcdserver: no leader", unavailable=True)

    def add_learner(self, peer_url: str) -> Member:
        if any(member.peer_url == peer_url for member in self.members.values()):
            raise Refusal("etcdserver: Peer URLs already exists")
        if any(member.learner for member in self.members.values()):
            raise Refusal("etcdserver: too many learner members in cluster")
        if not all(member.runs for member in self.members.values() if not member.learner):
            raise Refusal("etcdserver: unhealthy cluster", unavailable=True)
        return self.add(peer_url, learner=True)

    def promote(self, number: int) -> None:
        member = self._member(number)
        if not member.learner:
            raise Refusal("etcdserver: can only promote a learner member")
        if not member.runs:
            raise Refusal("etcdserver: can only promote a learner member which is in sync with leader")
        member.learner = False

    def remove(self, number: int) -> None:
        member = self._member(number)
        voters = [each for each in self.members.values() if not each.learner and each is not member]
        if not member.learner and sum(each.runs for each in voters) < len(voters) // 2 + 1:
            raise Refusal("etcdserver: re-configuration failed due to not enough started members", unavailable=True)
        del self.members[number]

    def put(self, key: bytes, value: bytes, lease: int) -> None:
        if lease and lease not in self._alive():
            raise Refusal("etcdserver: requested lease not found")
        self.revision += 1
        before = self.keys.get(key)
        self.keys[key] = Key(value, lease, before.created if before else self.revision, self.revision)

    def key(self, key: bytes) -> Key | None:
        self._alive()
        return self.keys.get(key)

    def grant(self, seconds: int) -> int:
        number = next(_numbers)
        self.leases[number] = Lease(seconds, self.watch.now() + seconds)
        return number

    def keep_alive(self, number: int) -> int:
        """The seconds that it has now; 0 when it has ended."""
        lease = self._alive().get(number)
        if lease is None:
            return 0
        lease.until = self.watch.now() + lease.seconds
        return lease.seconds

    def seconds_left(self, number: int) -> int:
        lease = self._alive().get(number)
        return -1 if lease is None else int(lease.until - self.watch.now())

    def revoke(self, number: int) -> None:
        if number not in self._alive():
            raise Refusal("etcdserver: requested lease not found")
        self._end(number)

    def _alive(self) -> dict[int, Lease]:
        for number in [number for number, lease in self.leases.items() if lease.until <= self.watch.now()]:
            self._end(number)
        return self.leases

    def _end(self, number: int) -> None:
        del self.leases[number]
        self.keys = {key: found for key, found in self.keys.items() if found.lease != number}

    def _member(self, number: int) -> Member:
        if number not in self.members:
            raise Refusal("etcdserver: member not found")
        return self.members[number]

    def summary(self) -> list[dict[str, Any]]:
        """The members, for whoever checks them."""
        return [{"name": each.name, "learner": each.learner, "runs": each.runs} for each in self.members.values()]
