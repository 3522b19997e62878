"""What a server's failed join has left in a real etcd: its own learner goes, no one else does."""

from __future__ import annotations

import pytest

from bootstrap.phases.leave import undo as take_back
from bootstrap.phases.leave.undo import TakenBack
from bootstrap.protocol.learner import Member
from tests.helpers.daemons import wait_for
from tests.integration.etcd.test_leaving import KEYS, Cluster, node, three
from tests.integration.etcd.test_membership import once_settled

__all__ = ["three"]
VOTERS = {"s1": True, "s2": True, "s3": True}
SERVERS = ("s1", "s2", "s3")


@pytest.fixture
def added(three: Cluster, monkeypatch: pytest.MonkeyPatch) -> Member:
    """The learner of a fourth server, which was not started yet."""
    three.places["s4"] = three.quorum.place("s4")
    at = {"10.0.0.3": "s3", "10.0.0.4": "s4"}
    nowhere = "https://127.0.0.1:1"
    monkeypatch.setattr(
        take_back,
        "peer_url",
        lambda address: three.places[at[str(address)]].peer_url if str(address) in at else nowhere,
    )
    with three.client("s1") as client:
        return once_settled(lambda: client.add_learner(three.places["s4"].peer_url))


def taken_back(cluster: Cluster, name: str, number: int) -> TakenBack:
    told = TakenBack()
    take_back.take_back(cluster.context, node(name, number), SERVERS, KEYS, told)
    return told


def test_a_learner_that_never_started_is_removed(three: Cluster, added: Member) -> None:
    assert taken_back(three, "s4", 4) == TakenBack(removed=True)
    assert three.members("s1") == VOTERS
    assert three.healthy(*SERVERS)


def test_a_learner_that_runs_is_removed_and_the_quorum_goes_on(three: Cluster, added: Member) -> None:
    three.start("s4", {name: three.places[name].peer_url for name in SERVERS}, "existing")
    wait_for(lambda: three.members("s1").get("s4") is False, "the learner's name")
    with three.client("s2") as client:
        client.put("/kept", "through everything")
    assert taken_back(three, "s4", 4) == TakenBack(removed=True)
    assert three.members("s1") == VOTERS
    with three.client("s3") as client:
        assert client.get("/kept") == b"through everything"


def test_another_server_s_learner_stays_whatever_that_one_is_called(three: Cluster, added: Member) -> None:
    assert taken_back(three, "s5", 5) == TakenBack()
    assert taken_back(three, "s4", 5) == TakenBack()
    assert three.members("s1") == {**VOTERS, "": False}


def test_a_server_that_has_its_vote_keeps_it(three: Cluster, added: Member) -> None:
    assert taken_back(three, "s3", 3) == TakenBack(votes=True)
    assert three.members("s1") == {**VOTERS, "": False}


def test_a_second_time_there_is_nothing_left_to_remove(three: Cluster, added: Member) -> None:
    taken_back(three, "s4", 4)
    assert taken_back(three, "s4", 4) == TakenBack()
    assert three.members("s1") == VOTERS
