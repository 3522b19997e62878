"""A server's own member of a real etcd, made by what runs on the server: over etcd's JSON gateway."""

from __future__ import annotations

import dataclasses
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.constants.paths import ETCD_BIRTH, ETCD_DATA
from bootstrap.node.joining import quorum as own_quorum
from bootstrap.node.joining.gateway import Etcd
from bootstrap.node.joining.quorum import Own, become_member, require_room, take_back
from bootstrap.node.machine import Machine
from bootstrap.pki.x509 import Usage, issue
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.failure import Failure
from tests.helpers.daemons import wait_for
from tests.helpers.quorum import Place, Quorum


def gateway(quorum: Quorum, folder: Path, *ports: int) -> Etcd:
    """The quorum, asked at one of these ports of loopback; the certificate that is shown lies in `folder`."""
    pair = issue(quorum.authority, common_name="kube-apiserver-etcd-client", usage=Usage.CLIENT)
    (folder / "pair.pem").write_bytes(pair.cert_pem + b"\n" + pair.key_pem)
    context = ssl.create_default_context(cadata=quorum.authority.cert_pem.decode())
    context.load_cert_chain(folder / "pair.pem")
    return Etcd([ServerUrl("127.0.0.1", port) for port in ports], context)


@dataclass
class Joins:
    """A machine that is a folder, beside a cluster of one member."""

    quorum: Quorum
    first: Place
    folder: Path
    running: ExitStack
    name: str = "s2"
    said: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.place = self.quorum.place(self.name)

    @property
    def etcd(self) -> Etcd:
        return gateway(self.quorum, self.folder, 1, self.first.client_port)

    @property
    def own(self) -> Own:
        return Own(self.name, "127.0.0.1", self.place.peer_port)

    @property
    def machine(self) -> Machine:
        return Machine(self.folder / "root", self.said.append)

    @property
    def data(self) -> Path:
        return self.machine.place(ETCD_DATA)

    def start(self) -> None:
        """What systemd does: etcd runs with the members that were written down, and its data are in the root."""
        birth = self.machine.place(ETCD_BIRTH).read_text()
        members, state = (line.partition("=")[2] for line in birth.splitlines())
        assert state == "existing"
        self.data.mkdir(parents=True, exist_ok=True)
        link = self.place.folder / "data"
        if not link.is_symlink():
            link.symlink_to(self.data)
        self.process = self.running.enter_context(
            self.quorum.member(self.place, dict(pair.split("=") for pair in members.split(",")), "existing")
        )

    def members(self) -> dict[str, bool]:
        """Which members have a vote, by name."""
        with self.quorum.client(self.first) as client:
            return {member.name: not member.learner for member in client.members()}


@pytest.fixture
def joins(quorum: Quorum, member: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Joins]:
    (tmp_path / "machine" / "root").mkdir(parents=True)
    monkeypatch.setattr(own_quorum, "EVERY_SECONDS", 0.1)
    programs = tmp_path / "machine" / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/machine/systemctl\n')
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with ExitStack() as running:
        yield Joins(quorum, member, tmp_path / "machine", running)


def joined(joins: Joins, start: Callable[[], None] | None = None) -> None:
    become_member(joins.etcd, joins.own, joins.machine, start or joins.start)


def test_it_comes_in_as_a_learner_and_gets_its_vote_and_a_second_time_nothing_happens(joins: Joins) -> None:
    require_room(joins.etcd, joins.own)
    before: list[dict[str, bool]] = []

    def start() -> None:
        before.append(joins.members())
        joins.start()

    joined(joins, start)
    assert before == [{"s1": True, "": False}]
    assert joins.members() == {"s1": True, "s2": True}
    joined(joins, lambda: None)
    assert joins.members() == {"s1": True, "s2": True}


def test_interrupted_after_it_was_added_it_goes_on_and_is_not_added_twice(joins: Joins) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        joined(joins, interrupted)
    assert joins.members() == {"s1": True, "": False}
    joined(joins)
    assert joins.members() == {"s1": True, "s2": True}


def test_a_learner_that_came_to_nothing_is_taken_out_and_its_data_is_set_aside_the_next_time(joins: Joins) -> None:
    def starts_and_fails() -> None:
        joins.start()
        raise Failure("the disk is full")

    with pytest.raises(Failure, match="the disk is full"):
        joined(joins, starts_and_fails)
    wait_for(lambda: joins.members() == {"s1": True, "s2": False}, "the learner's name")
    assert take_back(joins.etcd, joins.own) == "it is not a member of etcd"
    assert joins.members() == {"s1": True}
    assert joins.process is not None
    # It hears that it was removed.
    assert joins.process.wait(60) == 0
    joined(joins)
    assert joins.members() == {"s1": True, "s2": True}
    assert [path.name for path in joins.data.parent.glob("etcd.removed-*")]
    assert (joins.folder / "systemctl").read_text() == "stop etcd.service\n"


def test_one_that_has_its_vote_is_not_taken_out(joins: Joins) -> None:
    joined(joins)
    assert take_back(joins.etcd, joins.own) == "it has a vote in etcd, and stays there"
    assert joins.members() == {"s1": True, "s2": True}


def test_while_another_one_waits_for_its_vote_there_is_no_room(joins: Joins) -> None:
    with joins.quorum.client(joins.first) as client:
        client.add_learner("https://127.0.0.1:9")
    with pytest.raises(Failure, match="waits for its vote in etcd, and there is one learner at a time"):
        require_room(joins.etcd, joins.own)


def test_while_a_member_is_away_one_more_would_make_the_quorum_worse(joins: Joins) -> None:
    joined(joins)
    (joins.folder.parent / "third" / "root").mkdir(parents=True)
    third = dataclasses.replace(joins, folder=joins.folder.parent / "third", name="s3", process=None)
    joined(third)
    assert third.process is not None
    fourth = Own("s4", "127.0.0.1", 9)
    require_room(joins.etcd, fourth)
    third.process.kill()
    third.process.wait()
    with pytest.raises(Failure, match="s3 is a member of etcd and does not answer"):
        require_room(joins.etcd, fourth)


def test_a_quorum_that_can_t_be_reached_is_named_with_what_to_look_at(joins: Joins) -> None:
    away = Etcd([ServerUrl("127.0.0.1", 1)], ssl.create_default_context())
    with pytest.raises(Failure, match="etcd does not do what it was asked") as told:
        away.members()
    assert "https://127.0.0.1:1: " in str(told.value)
    assert "systemctl status etcd" in str(told.value)
