"""Members of a real etcd cluster: learners join, catch up, get their vote, and leave."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import TypeVar

import pytest

from bootstrap.clients.etcd import EtcdClient, EtcdError, LearnerNotReady, NotSettled
from bootstrap.pki.x509 import Usage, issue, new_authority
from tests.helpers.daemons import free_ports, wait_for
from tests.helpers.quorum import Quorum

T = TypeVar("T")


def once_settled(change: Callable[[], T]) -> T:
    """The result of a change of members, tried until the cluster has got over the change before it."""
    found: list[T] = []

    def tried() -> bool:
        try:
            found.append(change())
        except NotSettled:
            return False
        return True

    wait_for(tried, "a settled cluster")
    return found[0]


def test_a_cluster_grows_from_one_member_to_three_voters_and_back(quorum: Quorum) -> None:
    one, two, three = (quorum.place(name) for name in ("s1", "s2", "s3"))
    with quorum.member(one, {}, "new"), quorum.client(one) as client:
        wait_for(client.healthy, "the first member's health")
        client.put("/kept", "through everything")

        learner = client.add_learner(two.peer_url)
        assert learner.learner
        with pytest.raises(LearnerNotReady):
            client.promote(learner.id)

        def promoted(member_id: int) -> bool:
            try:
                client.promote(member_id)
            except LearnerNotReady:
                return False
            return True

        with quorum.member(two, {"s1": one.peer_url}, "existing"):
            wait_for(lambda: promoted(learner.id), "the second member's vote")
            third = once_settled(lambda: client.add_learner(three.peer_url))
            with quorum.member(three, {"s1": one.peer_url, "s2": two.peer_url}, "existing"):
                wait_for(lambda: promoted(third.id), "the third member's vote")
                members = {member.name: member for member in client.members()}
                assert set(members) == {"s1", "s2", "s3"}
                assert not any(member.learner for member in members.values())
                with quorum.client(three) as last:
                    wait_for(last.healthy, "the third member's health")
                    assert last.get("/kept") == b"through everything"
                    status = last.status()
                assert status.leader in {member.id for member in members.values()}
                assert status.raft_index > 0
                assert not status.learner

                once_settled(lambda: client.remove(members["s3"].id))
                assert {member.name for member in client.members()} == {"s1", "s2"}


def test_a_member_of_another_authority_is_not_believed(quorum: Quorum) -> None:
    place = quorum.place("s1")
    stranger = new_authority("etcd-ca")
    with quorum.member(place, {}, "new"), quorum.client(place) as client:
        wait_for(client.healthy, "the member's health")
        with (
            EtcdClient(
                "127.0.0.1", place.client_port, ca_pem=stranger.cert_pem, client=quorum.operator, timeout=3, node="s1"
            ) as wrong,
            pytest.raises(EtcdError) as refused,
        ):
            wrong.members()
    assert str(refused.value).startswith("s1: etcd: etcd did not do what it was asked\n  tried: MemberList at")


def test_a_client_that_shows_no_certificate_of_ours_is_refused(quorum: Quorum) -> None:
    place = quorum.place("s1")
    stranger = issue(new_authority("etcd-ca"), common_name="operator", usage=Usage.CLIENT)
    with quorum.member(place, {}, "new"), quorum.client(place) as client:
        wait_for(client.healthy, "the member's health")
        with (
            EtcdClient(
                "127.0.0.1", place.client_port, ca_pem=quorum.authority.cert_pem, client=stranger, timeout=3
            ) as wrong,
            pytest.raises(EtcdError),
        ):
            wrong.members()


def test_where_no_one_listens_the_answer_comes_in_bounded_time(quorum: Quorum) -> None:
    (port,) = free_ports(1)
    with EtcdClient("127.0.0.1", port, ca_pem=quorum.authority.cert_pem, client=quorum.operator, timeout=1) as client:
        assert not client.healthy()
        with pytest.raises(EtcdError, match="etcd did not do"):
            client.status()


def test_a_wall_clock_that_is_set_back_keeps_no_one_from_a_member_that_failed_once(
    quorum: Quorum, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = quorum.place("s1")
    with quorum.client(place, timeout=2) as client:
        assert not client.healthy()
        # The library's alone: gRPC reckons each deadline from the clock, there and then.
        monkeypatch.setattr(import_module("etcd3.client"), "time", SimpleNamespace(time=lambda: 0.0))
        with quorum.member(place, {}, "new"):
            wait_for(client.healthy, "the member's health")


def test_removing_a_member_that_is_not_there_says_so(quorum: Quorum) -> None:
    place = quorum.place("s1")
    with quorum.member(place, {}, "new"), quorum.client(place) as client:
        wait_for(client.healthy, "the member's health")
        with pytest.raises(EtcdError) as refused:
            client.remove(12345)
    assert "member not found" in str(refused.value)
