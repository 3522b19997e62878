"""Members that were promoted by an etcd that forgets it (etcd issue 19557), and then moved on: voters stay voters.

Real etcd, the release that forgets and the one of payloads.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.clients.etcd import LearnerNotReady, NotSettled
from bootstrap.facts import stored_members
from bootstrap.facts.model import EtcdMemberFacts
from bootstrap.facts.stored_members import NotReadable, stored_learners
from bootstrap.facts.votes import READ_STORE, voters_without_vote
from bootstrap.phases.etcd.votes import write_votes
from bootstrap.pki.store import ClusterPki
from bootstrap.state.credentials import OperatorKeys
from bootstrap.transport.base import Command, Result
from tests.helpers.daemons import wait_for
from tests.helpers.local_transport import LocalTransport
from tests.helpers.one_node import OneNode
from tests.helpers.quorum import Place, Quorum
from tests.integration.etcd.releases import etcd_of_debian


@dataclass
class Server(LocalTransport):
    """A way to the server whose etcd runs at `place`: its data is read there, and its port leads there."""

    place: Place = field(kw_only=True)

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        if command == READ_STORE:
            command = Command(command.name, f"{sys.executable} -I - {database(self.place)}")
        return super().check(command, stdin=stdin, timeout=timeout)

    def forward(self, host: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        return nullcontext((host, self.place.client_port))


class Patient(OneNode):
    """What is waited for comes about in a moment."""

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        wait_for(condition, what, timeout)


@dataclass
class Three:
    """Three members, of which two began as learners, and which release each of them runs."""

    quorum: Quorum
    places: list[Place]
    running: dict[str, ExitStack] = field(default_factory=dict)

    def start(self, place: Place, program: Path, state: str = "existing") -> None:
        others = {each.name: each.peer_url for each in self.places if each is not place and each.name in self.running}
        stack = ExitStack()
        stack.enter_context(self.quorum.member(place, others, state, program=program))
        self.running[place.name] = stack

    def move(self, place: Place, program: Path) -> None:
        """Have the member run that release, on the data that it has."""
        self.running.pop(place.name).close()
        self.start(place, program)
        self.well(place)

    def well(self, place: Place) -> None:
        with self.quorum.client(place) as client:
            wait_for(client.healthy, f"the health of {place.name}")

    def members(self) -> tuple[EtcdMemberFacts, ...]:
        with self.quorum.client(self.places[0]) as client:
            return tuple(EtcdMemberFacts(each.id, each.name, each.peer_urls, each.learner) for each in client.members())

    def forgotten(self, place: Place) -> set[str]:
        """The names of voters that are learners by the data of the member at `place`."""
        members = self.members()
        ids = voters_without_vote(Server(place=place), members)
        return {member.name for member in members if member.id in ids}

    def promoted(self, place: Place) -> bool:
        with self.quorum.client(self.places[0]) as client:
            try:
                client.promote(next(each.id for each in client.members() if each.peer_urls == (place.peer_url,)))
            except (LearnerNotReady, NotSettled):
                return False
        return True

    def added(self, place: Place) -> bool:
        with self.quorum.client(self.places[0]) as client:
            try:
                client.add_learner(place.peer_url)
            except NotSettled:
                return False
        return True


@contextmanager
def three_that_were_promoted(quorum: Quorum, program: Path) -> Iterator[Three]:
    three = Three(quorum, [quorum.place(name) for name in ("s1", "s2", "s3")])
    first, *later = three.places
    try:
        three.start(first, program, "new")
        three.well(first)
        for place in later:
            wait_for(lambda place=place: three.added(place), f"{place.name} as a learner")  # type: ignore[misc]
            three.start(place, program)
            wait_for(lambda place=place: three.promoted(place), f"the vote of {place.name}")  # type: ignore[misc]
            three.well(place)
        yield three
    finally:
        for stack in three.running.values():
            stack.close()


def database(place: Place) -> Path:
    return place.folder / "data" / "member" / "snap" / "db"


def test_voters_that_an_older_etcd_promoted_stay_voters_when_it_has_been_mended(quorum: Quorum) -> None:
    older, newer = etcd_of_debian()
    with three_that_were_promoted(quorum, older) as three:
        third = three.places[2]
        for place in three.places:
            wait_for(lambda place=place: three.forgotten(place) == {"s2", "s3"}, "the data")  # type: ignore[misc]
        for place in three.places:
            three.move(place, newer)
        # What a start of the newer release mends is not all of it.
        assert three.forgotten(third) == {"s2"}
        write_votes(Patient(Server(place=third)), "s3", keys_of(quorum))
        assert [three.forgotten(place) for place in three.places] == [set(), set(), set()]
        for place in three.places:
            three.move(place, newer)
        assert not any(member.learner for member in three.members())
        assert [three.forgotten(place) for place in three.places] == [set(), set(), set()]


def test_a_newer_etcd_keeps_the_votes_that_it_gives(quorum: Quorum) -> None:
    with three_that_were_promoted(quorum, etcd_of_debian()[1]) as three:
        for place in three.places:
            wait_for(lambda place=place: len(stored_learners(str(database(place)))) == 3, "the data")  # type: ignore[misc]
            wait_for(lambda place=place: three.forgotten(place) == set(), "the votes")  # type: ignore[misc]


def test_a_database_is_read_while_it_is_written(quorum: Quorum) -> None:
    place = quorum.place("s1")
    with quorum.member(place, {}, "new", program=etcd_of_debian()[1]), quorum.client(place) as client:
        wait_for(client.healthy, "the member's health")
        for number in range(300):
            client.put(f"/key{number % 7}", "x" * 20_000)
            assert list(stored_learners(str(database(place))).values()) == [False]


def test_what_is_no_database_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "db").write_bytes(b"\xff" * 20_000)
    with pytest.raises(NotReadable, match="no header of a bbolt database"):
        stored_learners(str(tmp_path / "db"))
    assert stored_members.main([str(tmp_path / "absent")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_as_a_program_it_prints_what_it_found(quorum: Quorum) -> None:
    place = quorum.place("s1")
    with quorum.member(place, {}, "new", program=etcd_of_debian()[1]), quorum.client(place) as client:
        wait_for(client.healthy, "the member's health")
        (own,) = client.members()
    command = [sys.executable, "-I", stored_members.__file__, str(database(place))]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == {f"{own.id:x}": False}


def keys_of(quorum: Quorum) -> OperatorKeys:
    authority = quorum.authority
    return OperatorKeys(ClusterPki(authority, authority, authority, b"", b""), quorum.operator, quorum.operator)
