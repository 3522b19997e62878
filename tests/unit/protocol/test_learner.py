"""The way of a server into etcd, whatever an earlier try has left there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bootstrap.protocol.learner import Member, OtherLearner, Own, added_as_learner, first_start, initial_cluster

URL = "https://10.77.0.13:2380"
FIRST = Member(1, "s1", ("https://10.77.0.11:2380",), (), learner=False)
WAITING = Member(3, "", (URL,), (), learner=True)
STARTED = Member(3, "s3", (URL,), (), learner=False)
OTHER = Member(2, "s2", ("https://10.77.0.12:2380",), (), learner=True)


@dataclass
class Etcd:
    """As much of a quorum as is asked."""

    there: list[Member]
    did: list[str] = field(default_factory=list)

    def members(self) -> tuple[Member, ...]:
        return tuple(self.there)

    def add_learner(self, peer_url: str) -> None:
        self.did.append(f"add {peer_url}")
        self.there.append(Member(9, "", (peer_url,), (), learner=True))

    def promote(self, member_id: int) -> None:
        self.did.append(f"promote {member_id}")

    def remove(self, member_id: int) -> None:
        self.did.append(f"remove {member_id}")
        self.there = [each for each in self.there if each.id != member_id]


def of_url(members: Sequence[Member]) -> list[Member]:
    return [each for each in members if URL in each.peer_urls]


OWN = Own(URL, of_url)


def added(*there: Member) -> tuple[list[str], tuple[Member, ...], list[str]]:
    etcd, said = Etcd(list(there)), list[str]()
    members = added_as_learner(etcd, OWN, said.append)
    return etcd.did, members, said


def test_a_new_server_is_added_as_a_learner() -> None:
    did, members, said = added(FIRST)
    assert did == [f"add {URL}"]
    assert [each.learner for each in members] == [False, True]
    assert said == []


def test_one_that_was_added_before_and_never_started_is_not_added_twice() -> None:
    did, members, _ = added(FIRST, WAITING)
    assert did == []
    assert members == (FIRST, WAITING)


def test_one_that_has_started_and_lost_its_data_is_replaced() -> None:
    did, members, said = added(FIRST, STARTED)
    assert did == ["remove 3", f"add {URL}"]
    assert [each.id for each in members] == [1, 9]
    assert said == ["removing the member whose data is gone (3)"]


def test_etcd_has_one_learner_at_a_time() -> None:
    etcd = Etcd([FIRST, OTHER])
    with pytest.raises(OtherLearner) as other:
        added_as_learner(etcd, OWN, print)
    assert other.value.member == OTHER
    assert etcd.did == []


def test_the_first_start_knows_all_members_by_name() -> None:
    names = initial_cluster([FIRST, WAITING], lambda member: member.name or "s3")
    assert names == {"s1": "https://10.77.0.11:2380", "s3": URL}
    assert first_start(names, state="existing") == (
        f"ETCD_INITIAL_CLUSTER=s1=https://10.77.0.11:2380,s3={URL}\nETCD_INITIAL_CLUSTER_STATE=existing\n"
    )
