"""Servers that leave a real etcd: dead ones, the leader, and one too many."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bootstrap.clients.etcd import EtcdClient, EtcdError, LearnerNotReady
from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import unobserved
from bootstrap.errors import Refused
from bootstrap.inventory.model import Node, Role
from bootstrap.phases import rolling
from bootstrap.phases.etcd import membership as etcd
from bootstrap.phases.leave import etcd as leave_etcd
from bootstrap.phases.leave.etcd import Leaver
from bootstrap.transport.base import Command, Result
from tests.helpers.daemons import wait_for
from tests.helpers.quorum import Place, Quorum
from tests.integration.etcd.test_membership import once_settled

KEYS: Any = None


@dataclass
class Machine:
    """The way into a server: it notes what it was told to do."""

    node: str
    told: list[str] = field(default_factory=list)
    alive: bool = True

    def check(self, command: Command, **_: object) -> Result:
        self.told.append(command.name)
        return Result(command, 0, b"", b"", 0.0)

    def close(self) -> None:
        return None


@dataclass
class Cluster:
    """Servers by name: where their members run, what ends each, and the ways into them."""

    quorum: Quorum
    places: dict[str, Place] = field(default_factory=dict)
    running: dict[str, ExitStack] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)

    def start(self, name: str, others: dict[str, str], state: str) -> None:
        stack = self.running[name] = ExitStack()
        stack.enter_context(self.quorum.member(self.places[name], others, state))

    def kill(self, name: str) -> None:
        self.running.pop(name).close()

    def replace(self, name: str) -> None:
        """Another machine of that name, at another address."""
        self.places[name] = self.quorum.place(f"{name}-again")
        self.places[name].name = name

    def client(self, name: str) -> EtcdClient:
        return self.quorum.client(self.places[name])

    def members(self, at: str) -> dict[str, bool]:
        """Whether each member has a vote, as the one on `at` says."""
        with self.client(at) as client:
            return {member.name: not member.learner for member in client.members()}

    def leader(self, at: str) -> str:
        with self.client(at) as client:
            status = client.status()
            return next((member.name for member in client.members() if member.id == status.leader), "")

    def healthy(self, *names: str) -> bool:
        for name in names:
            with self.client(name) as client:
                if not client.healthy():
                    return False
        return True

    @property
    def context(self) -> RunContext:
        action: Action[Any] = Action("s3/leave.etcd", "s3", "leave", "leave", lambda _: "", lambda _: None)

        def open_node(name: str) -> Any:
            return self.machines.setdefault(name, Machine(name))

        return RunContext(action, Connections(open_node), unobserved, {}, threading.Event())

    def leave(self, name: str, *servers: str, on_machine: tuple[str, ...] = ()) -> None:
        leave_etcd.leave_etcd(self.context, Leaver(name, self.places[name].peer_url), servers, KEYS, on_machine)


@pytest.fixture
def three(quorum: Quorum, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Three voters, s1 the leader, all healthy."""
    cluster = Cluster(quorum)

    @contextmanager
    def etcd_at(transport: Any, _: object) -> Iterator[EtcdClient]:
        with cluster.client(transport.node) as client:
            yield client

    for module in (etcd, leave_etcd, rolling):
        monkeypatch.setattr(module, "etcd_at", etcd_at)
    names = ("s1", "s2", "s3")
    for name in names:
        cluster.places[name] = quorum.place(name)
    urls = {name: cluster.places[name].peer_url for name in names}
    for name in names:
        cluster.start(name, {other: url for other, url in urls.items() if other != name}, "new")
    try:
        wait_for(lambda: cluster.healthy(*names), "three healthy members")
        leads(cluster, "s1")
        yield cluster
    finally:
        for name in list(cluster.running):
            cluster.kill(name)


def leads(cluster: Cluster, name: str) -> None:
    """Have the member on that server lead."""
    now = cluster.leader("s1")
    if now != name:
        with cluster.client(now) as client:
            client.move_leader(next(member.id for member in client.members() if member.name == name))
    wait_for(lambda: cluster.leader("s1") == name, f"{name} to lead")


def node(name: str, number: int) -> Node:
    return Node.model_validate({"name": name, "role": Role.SERVER, "address": f"10.0.0.{number}"})


def test_a_dead_server_leaves_and_another_machine_of_its_name_is_the_third_voter(
    three: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.kill("s3")
    three.leave("s3", "s1", "s2")
    assert three.members("s1") == {"s1": True, "s2": True}
    assert three.machines.get("s3") is None

    three.replace("s3")
    servers = tuple(node(name, number) for number, name in enumerate(("s1", "s2", "s3"), 1))
    urls = {str(server.address): three.places[server.name].peer_url for server in servers}
    monkeypatch.setattr(etcd, "peer_url", lambda address: urls[str(address)])
    joining = etcd.Quorum(servers, KEYS, None, lambda: None)
    known = etcd._members_with(three.context, servers[2], joining)
    assert known == {name: three.places[name].peer_url for name in ("s1", "s2", "s3")}
    three.start("s3", {name: url for name, url in known.items() if name != "s3"}, "existing")
    wait_for(lambda: three.healthy("s1") and "s3" in three.members("s1"), "the new member")
    etcd._promote(three.context, servers[2], joining)
    assert three.members("s3") == {"s1": True, "s2": True, "s3": True}
    wait_for(lambda: three.healthy("s1", "s2", "s3"), "three healthy voters")


def test_a_leader_hands_that_on_and_its_control_plane_ends_before_it_leaves(three: Cluster) -> None:
    leads(three, "s3")
    with three.client("s2") as client:
        client.put("/kept", "through everything")
    three.leave("s3", "s2", "s1", on_machine=("s3",))
    assert three.machines["s3"].told == [
        "stop kube-scheduler.service kube-controller-manager.service kube-apiserver.service"
    ]
    assert three.members("s2") == {"s1": True, "s2": True}
    assert three.leader("s2") == "s2"
    with three.client("s1") as client:
        assert client.get("/kept") == b"through everything"


def test_back_to_one_server_no_write_that_was_acknowledged_is_lost(three: Cluster) -> None:
    acknowledged: list[str] = []
    over = threading.Event()

    def write() -> None:
        with three.client("s1") as client:
            while not over.is_set():
                key = f"/written/{len(acknowledged)}"
                try:
                    client.put(key, key)
                except EtcdError:
                    continue
                acknowledged.append(key)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        three.leave("s3", "s1", "s2", on_machine=("s3",))
        three.leave("s2", "s1", on_machine=("s2",))
        so_far = len(acknowledged)
        wait_for(lambda: len(acknowledged) > so_far, "a write after all that")
    finally:
        over.set()
        writer.join()
    assert three.members("s1") == {"s1": True}
    with three.client("s1") as client:
        assert [key for key in acknowledged if client.get(key) != key.encode()] == []


def test_the_quorum_is_not_broken_even_when_the_plan_was_made_before_a_member_fell_silent(three: Cluster) -> None:
    three.kill("s2")
    with pytest.raises(Refused) as refused:
        three.leave("s3", "s1", "s2", on_machine=("s3",))
    assert refused.value.got == "3 members, 2 needed; without s3: 2 members, 2 needed, 1 answers"
    assert three.machines.get("s3", Machine("s3")).told == []
    assert three.members("s1") == {"s1": True, "s2": True, "s3": True}


def test_a_learner_that_never_started_leaves_without_a_vote_being_lost(three: Cluster) -> None:
    three.places["s4"] = three.quorum.place("s4")
    with three.client("s1") as client:
        added = once_settled(lambda: client.add_learner(three.places["s4"].peer_url))
        with pytest.raises(LearnerNotReady):
            client.promote(added.id)
    three.leave("s4", "s1", "s2", "s3")
    assert three.members("s1") == {"s1": True, "s2": True, "s3": True}


def test_one_that_has_left_already_is_no_one_s_loss(three: Cluster) -> None:
    three.leave("s3", "s1", "s2")
    three.leave("s3", "s1", "s2")
    assert three.members("s1") == {"s1": True, "s2": True}
