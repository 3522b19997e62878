"""One apply at a time: when the cluster's lock is taken, and what becomes of a run whose lock is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bootstrap.clients import tunnel as ways
from bootstrap.clients.etcd import EtcdClient, EtcdError
from bootstrap.clients.failover import Way
from bootstrap.engine.action import Action, Context
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import unobserved
from bootstrap.engine.lock import FOREVER, Patience
from bootstrap.engine.plan import make_plan
from bootstrap.engine.run import Report, State, run_plan
from bootstrap.errors import Refused
from bootstrap.facts.model import ClusterFacts, EtcdFacts, UnitFacts
from bootstrap.lock.guard import Guard, locked
from bootstrap.lock.lease import LockLost
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.phases.prepared import Prepared
from bootstrap.protocol.lease_lock import KEY, Lease
from bootstrap.state.cluster import ClusterState
from bootstrap.transport.base import Transport
from tests.helpers.daemons import wait_for
from tests.helpers.quorum import Place, Quorum
from tests.helpers.worlds import bundle, facts, inventory
from tests.integration.transport.conftest import Server, sshd, start_sshd

__all__ = ["sshd", "start_sshd"]

LEASE_SECONDS = 4
BARE = ClusterFacts({"s1": facts()})
RUNNING = ClusterFacts(
    {"s1": facts(etcd_data=True, units={"etcd.service": UnitFacts("active", "")})}, etcd=EtcdFacts(())
)


class Operator:
    """Somebody who applies: what they looked at, how often, and what they were told."""

    def __init__(self, quorum: Quorum, place: Place, name: str, world: ClusterFacts = RUNNING) -> None:
        self.world = world
        self.looks = 0
        self.told: list[str] = []
        self.noted = 0
        self.alone = Guard(
            inventory(),
            f"apply {name}.yaml",
            Patience(0.0, self.told.append),
            way=lambda server: Way(server, lambda: quorum.client(place, timeout=2.0)),
            noted=self.note,
            lease_seconds=LEASE_SECONDS,
            answer_seconds=0.0,
        )

    def note(self) -> None:
        self.noted += 1

    def look(self) -> ClusterFacts:
        self.looks += 1
        return self.world

    def prepares(self, *actions: Action[ClusterFacts]) -> Prepared:
        return self.alone.prepared(self.look, lambda world: Prepared(world, (), make_plan(actions, world)))

    def runs(self, prepared: Prepared) -> Report:
        return run_plan(prepared.plan, Connections(no_node), observe=unobserved, cancellation=self.alone.cancellation)


def no_node(name: str) -> Transport:
    raise AssertionError(f"no one asked for {name}")


def nothing(_: Context) -> None:
    return None


NEEDED: Action[ClusterFacts] = Action("s1/a", "s1", "a", "do it", lambda _: "needed", nothing)
NEEDLESS: Action[ClusterFacts] = Action("s1/a", "s1", "a", "do it", lambda _: None, nothing)


@contextmanager
def operators(quorum: Quorum, place: Place, *worlds: ClusterFacts) -> Iterator[tuple[Operator, ...]]:
    people = tuple(Operator(quorum, place, f"lab{number}", world) for number, world in enumerate(worlds, 1))
    try:
        yield people
    finally:
        for person in people:
            person.alone.give_back()


def held(quorum: Quorum, member: Place) -> bytes | None:
    with quorum.client(member) as client:
        found = client.entry(KEY)
        return found.value if found else None


def test_an_apply_that_finds_nothing_to_do_looks_once_and_takes_no_lock(quorum: Quorum, member: Place) -> None:
    with operators(quorum, member, RUNNING) as (one,):
        assert one.prepares(NEEDLESS).plan.empty
        assert held(quorum, member) is None
    assert one.looks == 1


def test_an_apply_with_something_to_do_looks_again_under_the_lock(quorum: Quorum, member: Place) -> None:
    with operators(quorum, member, RUNNING) as (one,):
        assert not one.prepares(NEEDED).plan.empty
        note = held(quorum, member)
        assert note is not None
        assert b'"doing": "apply lab1.yaml", "cluster": "lab"' in note
        assert one.looks == 2
        one.alone.give_back()
        assert held(quorum, member) is None


def test_of_two_applies_one_works_and_the_other_names_it(quorum: Quorum, member: Place) -> None:
    with operators(quorum, member, RUNNING, RUNNING) as (one, two):
        prepared = one.prepares(NEEDED)
        with pytest.raises(Refused) as refused:
            two.prepares(NEEDED)
        assert two.looks == 1
        assert one.runs(prepared).of(State.DONE)
    assert refused.value.exit_code == 4
    assert "tried: apply lab2.yaml" in str(refused.value)
    assert ": apply lab1.yaml; unless it is renewed, its lease ends within" in str(refused.value)


def test_a_cluster_without_etcd_is_begun_without_its_lock_which_is_taken_once_etcd_answers(
    quorum: Quorum, member: Place
) -> None:
    with operators(quorum, member, BARE) as (one,):
        founding: Action[ClusterFacts] = Action(
            "s1/etcd.member", "s1", "etcd", "found it", lambda _: "none", lambda _: one.alone.founded()
        )
        prepared = one.prepares(founding)
        assert one.looks == 1
        assert held(quorum, member) is None
        assert one.runs(prepared).of(State.DONE)
        assert b"apply lab1.yaml" in (held(quorum, member) or b"")
        one.alone.founded()
    assert one.noted == 2


def test_an_etcd_that_has_just_been_founded_may_miss_an_answer(quorum: Quorum, member: Place) -> None:
    told: list[str] = []
    left = [EtcdError("no answer", got="a time-out", hint="ask again") for _ in inventory().servers]

    def opened() -> AbstractContextManager[EtcdClient]:
        if left:
            raise left.pop()
        return quorum.client(member, timeout=2.0)

    founder = Guard(
        inventory(),
        "apply lab.yaml",
        Patience(0.0, told.append),
        way=lambda server: Way(server, opened),
        noted=lambda: None,
        lease_seconds=LEASE_SECONDS,
    )
    founder.founded()
    assert b"apply lab.yaml" in (held(quorum, member) or b"")
    founder.give_back()
    assert told == ["etcd does not answer: waiting up to 30 s for it"]


def test_who_brings_etcd_to_answer_after_somebody_else_stops_there(quorum: Quorum, member: Place) -> None:
    with operators(quorum, member, RUNNING, BARE) as (one, two):
        one.prepares(NEEDED)
        founding: Action[ClusterFacts] = Action(
            "s1/etcd.member", "s1", "etcd", "found it", lambda _: "none", lambda _: two.alone.founded()
        )
        after: Action[ClusterFacts] = Action(
            "s1/z", "s1", "z", "more", lambda _: "needed", nothing, needs=("s1/etcd.member",)
        )
        report = two.runs(two.prepares(founding, after))
        assert [outcome.state for outcome in report.outcomes] == [State.FAILED, State.SKIPPED]
        assert "apply lab1.yaml" in str(report.outcomes[0].error)
        with pytest.raises(LockLost, match="the cluster's lock could not be taken") as lost:
            two.alone.stop_if_lost(report)
        assert lost.value.exit_code == 1
        assert b"apply lab1.yaml" in (held(quorum, member) or b"")


def test_an_etcd_that_runs_and_does_not_answer_is_fixed_without_its_lock(quorum: Quorum) -> None:
    place = quorum.place("s1")
    with operators(quorum, place, RUNNING) as (one,):
        assert not one.prepares(NEEDED).plan.empty
    assert one.looks == 1
    assert "the cluster's lock can't be taken until etcd answers" in one.told[0]


def test_a_run_whose_lock_is_lost_begins_nothing_more_and_says_why(quorum: Quorum, member: Place) -> None:
    with quorum.client(member) as client, operators(quorum, member, RUNNING) as (one,):

        def lose(_: Context) -> None:
            found = client.entry(KEY)
            assert found is not None
            client.revoke(Lease(found.lease, LEASE_SECONDS))
            wait_for(one.alone.cancellation.interrupted.is_set, "the run to be stopped")

        loses: Action[ClusterFacts] = Action("s1/a", "s1", "a", "lose it", lambda _: "needed", lose)
        after: Action[ClusterFacts] = Action("s1/b", "s1", "b", "more", lambda _: "needed", nothing, needs=("s1/a",))
        report = one.runs(one.prepares(loses, after))
        assert [outcome.state for outcome in report.outcomes] == [State.DONE, State.SKIPPED]
        with pytest.raises(LockLost, match="its lease ended") as lost:
            one.alone.stop_if_lost(report)
    assert lost.value.exit_code == 3
    assert one.told == ["the cluster's lock was lost: its lease ended before it could be renewed: nothing new is begun"]


def test_a_run_goes_on_when_an_etcd_that_was_restarted_answers_again(quorum: Quorum) -> None:
    place = quorum.place("s1")
    with quorum.client(place) as client, operators(quorum, place, RUNNING) as (one,):
        with quorum.member(place, {}, "new"):
            wait_for(client.healthy, "the member's health")
            one_more = one.prepares(NEEDED)
        wait_for(one.alone.cancellation.hold, "doubt about the lock")
        with quorum.member(place, {}, "new"):
            assert one.runs(one_more).of(State.DONE)
            one.alone.give_back()
    assert "nothing new is begun until it does" in one.told[0]
    assert "going on" in one.told[1]


def test_over_ssh_the_lock_has_a_connection_of_its_own(
    tmp_path: Path, sshd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent = intent_over(sshd, tmp_path)
    quorum = Quorum(tmp_path, intent.keys.pki.etcd, intent.keys.etcd)
    place = quorum.place("s1")
    monkeypatch.setattr(ways, "ETCD_CLIENT_PORT", place.client_port)
    with quorum.member(place, {}, "new"), quorum.client(place) as client:
        wait_for(client.healthy, "the member's health")
        with locked(intent, "apply lab.yaml", Patience(FOREVER)) as only:
            prepared = only.prepared(lambda: RUNNING, lambda world: Prepared(world, (), make_plan([NEEDED], world)))
            assert not prepared.plan.empty
            assert b"apply lab.yaml" in (held(quorum, place) or b"")
            with pytest.raises(Refused, match="another clusterup"), locked(intent, "apply again", Patience()):
                raise AssertionError("both are in")
        assert held(quorum, place) is None


def intent_over(sshd: Server, folder: Path) -> Intent:
    wanted = inventory(allow_even_servers=True).model_dump()
    ssh = {"host": "127.0.0.1", "port": sshd.port, "user": "root", "key": str(sshd.key), "use_config": False}
    wanted["nodes"] = [{**wanted["nodes"][0], "ssh": {**ssh, "host_key": sshd.host_key}}]
    state = folder / "state"
    state.mkdir(mode=0o700)
    loaded = type(inventory()).model_validate(wanted)
    return intent_of(loaded, ClusterState(state), bundle(folder / "bundle"), folder / "lab.kubeconfig", written=b"")
