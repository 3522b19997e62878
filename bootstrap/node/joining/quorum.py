"""This server's member of etcd: added as a learner, started, and given its vote when it has caught up.

It goes on from whatever is there: see bootstrap/protocol/learner.py, and bootstrap/phases/etcd/membership.py, which
does the same from an operator's machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bootstrap.constants.paths import ETCD_BIRTH, ETCD_DATA
from bootstrap.constants.ports import ETCD_PEER_PORT
from bootstrap.node.joining.gateway import Etcd
from bootstrap.node.machine import Machine, run, write
from bootstrap.protocol import learner
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.files import NodeFile
from bootstrap.protocol.learner import Member, OtherLearner, added_as_learner, first_start, initial_cluster

SETTLE_SECONDS = 120.0
PROMOTE_SECONDS = 300.0
EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Own:
    """What this server is called, and where its peers reach it."""

    name: str
    address: str
    peer_port: int = ETCD_PEER_PORT

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.peer_port}"

    def among(self, members: Sequence[Member]) -> list[Member]:
        """What was added for it. A member of its name at another address is somebody else's."""
        return [each for each in members if self.url in each.peer_urls and each.name in ("", self.name)]

    def one_of(self, members: Sequence[Member]) -> Member | None:
        """The member that was added for it."""
        return next(iter(self.among(members)), None)


def require_room(etcd: Etcd, own: Own) -> None:
    """Raise Failure where one more member would make the quorum worse, or is not taken now. Whoever is a member already
    has its room."""
    members = etcd.members()
    if own.one_of(members) is not None:
        return
    for member in members:
        if member.learner:
            raise _waits_for(member)
        if not etcd.healthy(member):
            raise Failure(
                f"{_called(member)} is a member of etcd and does not answer; one more would make the quorum worse",
                tried=f"/health at {', '.join(member.client_urls)}",
                hint=f"start {_called(member)}, or have the cluster's operator take it out (`clusterup remove`)",
                passing=True,
            )


def _waits_for(member: Member) -> Failure:
    name = _called(member)
    return Failure(
        f"{name} waits for its vote in etcd, and there is one learner at a time",
        hint=f"see that {name} is up, and that its join ends; `clusterup remove` of the operator takes it out",
        passing=True,
    )


def _called(member: Member) -> str:
    return member.name or ", ".join(member.peer_urls)


def become_member(etcd: Etcd, own: Own, machine: Machine, start: Callable[[], None]) -> None:
    """Make this machine's etcd, which `start` starts, a member with a vote. Raises Failure and what `start` does."""
    if _has_data(machine) and own.one_of(etcd.members()) is None:
        _set_aside(machine)
    if not _has_data(machine):
        members = initial_cluster(_with_own(etcd, own, machine), lambda member: member.name or own.name)
        text = first_start(members, state="existing")
        write(machine, NodeFile(ETCD_BIRTH, text.encode(), 0o644))
    start()
    machine.say("waiting until etcd has caught up with the others")

    def promoted() -> bool:
        mine = own.one_of(etcd.members())
        if mine is None:
            raise Failure(
                "somebody has taken this server out of etcd meanwhile",
                hint="ask the cluster's operator; then the same command begins again",
            )
        if mine.learner:
            etcd.promote(mine.id)
        return True

    _until(promoted, PROMOTE_SECONDS)
    machine.say("it has its vote in etcd")


def take_back(etcd: Etcd, own: Own) -> str:
    """Take this server's learner out of etcd again; what came of it, in words."""

    def gone() -> bool:
        mine = own.one_of(etcd.members())
        if mine is None or not mine.learner:
            return True
        etcd.remove(mine.id)
        return own.one_of(etcd.members()) is None

    try:
        _until(gone, SETTLE_SECONDS)
        mine = own.one_of(etcd.members())
    except Failure:
        return "whether it is a learner in etcd is not known: the cluster's operator sees it with `clusterup status`"
    return "it has a vote in etcd, and stays there" if mine else "it is not a member of etcd"


def _with_own(etcd: Etcd, own: Own, machine: Machine) -> tuple[Member, ...]:
    """All members, this server added as a learner."""
    members: list[Member] = []

    def added() -> bool:
        try:
            members[:] = added_as_learner(etcd, learner.Own(own.url, own.among), machine.say)
        except OtherLearner as other:
            raise _waits_for(other.member) from None
        return True

    _until(added, SETTLE_SECONDS)
    return tuple(members)


def _has_data(machine: Machine) -> bool:
    return machine.place(f"{ETCD_DATA}/member").exists()


def _set_aside(machine: Machine) -> None:
    """What a removed member has kept is of no use to anybody."""
    machine.say("setting aside the data of a member that was removed")
    run("systemctl", "stop", "etcd.service")
    place = machine.place(ETCD_DATA)
    place.rename(place.with_name(f"{place.name}.removed-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"))


def _until(change: Callable[[], bool], seconds: float) -> None:
    """Make a change of the membership as soon as the cluster has got over the one before. Raises the last Failure."""
    for last in _again(seconds):
        try:
            if change():
                return
        except Failure as failure:
            if last or not failure.passing:
                raise


def _again(seconds: float) -> Iterator[bool]:
    """Once a second for that long; whether it is the last time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield False
        time.sleep(EVERY_SECONDS)
    yield True
