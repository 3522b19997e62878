"""What is wrong with etcd, API servers and Nodes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bootstrap.doctor.findings import CLUSTER, Weight
from bootstrap.doctor.kubernetes import judged_api
from bootstrap.doctor.person import Person
from bootstrap.doctor.quorum import Wanted, judged_quorum
from bootstrap.operations.status import ApiHealth, ClusterStatus, MemberHealth, NodeStatus

PERSON = Person("lab.yaml")
NAMES = ("s1", "s2", "s3")


def member(name: str, **other: Any) -> MemberHealth:
    well: dict[str, Any] = {"voter": True, "leader": name == "s1", "lag": 0, "db_size": 2_000_000, "version": "3.6.9"}
    return MemberHealth(name, **(well | other))


SILENT: dict[str, Any] = {"lag": None, "db_size": None, "version": None, "problem": "its node can't be reached"}


def status(*members: MemberHealth, kubelet: str = "v1.36.2", api: str = "v1.36.2") -> ClusterStatus:
    nodes = tuple(NodeStatus(name, "server", "10.0.0.1", "Ready", "1", kubelet) for name in NAMES)
    servers = tuple(ApiHealth(name, ready=True, version=api) for name in NAMES)
    return ClusterStatus("lab", nodes, members, servers)


ALL = Wanted((*NAMES, "s4"), {})


def of_etcd(*members: MemberHealth, wanted: Wanted = ALL) -> list[tuple[Weight, str, str]]:
    return [(each.weight, each.where, each.what) for each in judged_quorum(status(*members), wanted, PERSON)]


def test_three_voters_that_answer_are_well() -> None:
    assert of_etcd(*map(member, NAMES)) == []


def test_one_voter_alone_is_well() -> None:
    assert of_etcd(member("s1")) == []


def test_when_one_of_three_is_off_it_is_said_that_no_further_one_may_fail() -> None:
    found = of_etcd(member("s1"), member("s2"), member("s3", **SILENT))
    assert found == [
        (Weight.WARNING, CLUSTER, "no further server may fail, as far as can be seen from here"),
        (Weight.FAULT, "s3", "its member of etcd does not answer"),
    ]


def test_two_of_three_off_is_no_quorum() -> None:
    found = of_etcd(member("s1", leader=False), member("s2", **SILENT), member("s3", **SILENT))
    assert found[0][0] is Weight.FAULT
    assert "there is no quorum" in found[0][2]


def test_who_knows_a_leader_has_a_quorum_whoever_could_be_asked_from_here() -> None:
    found = of_etcd(member("s1"), member("s2", **SILENT), member("s3", **SILENT))
    assert not any("no quorum" in what for _, _, what in found)


def test_members_of_another_operator_s_inventory_are_said_to_be_and_are_no_fault() -> None:
    wanted = Wanted(("s1",), {})
    found = of_etcd(member("s1"), member("joined", **SILENT), member("other", **SILENT), wanted=wanted)
    assert found == [
        (Weight.WARNING, CLUSTER, "a member of etcd is not in the inventory: joined"),
        (Weight.WARNING, CLUSTER, "a member of etcd is not in the inventory: other"),
    ]


def test_members_that_answer_and_know_no_leader_have_none() -> None:
    assert "it has no leader" in [what for _, _, what in of_etcd(*(member(name, leader=False) for name in NAMES))]


def test_two_voters_are_said_to_be_no_safer_than_one() -> None:
    assert of_etcd(member("s1"), member("s2"))[0][0] is Weight.WARNING


def test_an_alarm_of_a_member_that_left_is_said_of_the_cluster() -> None:
    left = dataclasses.replace(status(*map(member, NAMES)), alarms=("NOSPACE of 8e9e05, which is no member any more",))
    (found,) = judged_quorum(left, ALL, PERSON)
    assert (found.weight, found.where) == (Weight.FAULT, CLUSTER)
    assert "clusterup ssh -i lab.yaml s1 --" in found.mend


def test_nobody_who_answers_is_one_fault() -> None:
    assert [each[2] for each in of_etcd()] == ["no member of etcd answers: there is no API"]


@pytest.mark.parametrize(
    ("other", "weight", "words"),
    [
        ({"voter": False}, Weight.WARNING, "has no vote yet"),
        ({"lag": 100_000}, Weight.WARNING, "is far behind"),
        ({"alarms": ("NOSPACE",)}, Weight.FAULT, "its database is full"),
        ({"alarms": ("CORRUPT",)}, Weight.FAULT, "other data than the others"),
        ({"alarms": ("ANOTHER",)}, Weight.FAULT, "raises an alarm"),
        ({"db_size": 1_900 << 20}, Weight.WARNING, "its database is nearly full"),
    ],
)
def test_a_member_that_is_not_well_is_named(other: dict[str, Any], weight: Weight, words: str) -> None:
    (found,) = of_etcd(member("s1"), member("s2"), member("s3", **other), member("s4"))
    assert found[:2] == (weight, "s3")
    assert words in found[2]


def test_the_limit_that_the_inventory_gives_counts() -> None:
    large = member("s1", db_size=1_900 << 20)
    assert of_etcd(large, wanted=Wanted(NAMES, {"quota-backend-bytes": "8589934592"})) == []
    assert len(of_etcd(large)) == 1


def test_members_of_several_releases_are_named() -> None:
    (found,) = judged_quorum(status(member("s1"), member("s2", version="3.5.30"), member("s3")), ALL, PERSON)
    assert found.why == "s1 3.6.9, s2 3.5.30, s3 3.6.9"


READY = {"type": "Ready", "status": "True"}


def node(*conditions: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": spec, "status": {"conditions": list(conditions)}}


def of_api(nodes: dict[str, Any], found: ClusterStatus) -> list[tuple[Weight, str, str]]:
    return [(each.weight, each.where, each.what) for each in judged_api(found, nodes, PERSON)]


WELL = status(*map(member, NAMES))


def test_nodes_that_are_ready_and_servers_that_answer_are_well() -> None:
    assert of_api({name: node(READY) for name in NAMES}, WELL) == []


@pytest.mark.parametrize(
    ("found", "weight", "words"),
    [
        (node({"type": "Ready", "status": "False", "reason": "KubeletNotReady"}), Weight.FAULT, "it is not Ready"),
        (node({"type": "Ready", "status": "Unknown"}), Weight.FAULT, "nothing is heard of its kubelet"),
        (node(), Weight.FAULT, "it is not Ready"),
        (node(READY, {"type": "DiskPressure", "status": "True"}), Weight.FAULT, "its disk is full"),
        (node(READY, {"type": "MemoryPressure", "status": "True"}), Weight.FAULT, "its memory is used up"),
        (node(READY, unschedulable=True), Weight.WARNING, "no new pods come to it"),
    ],
)
def test_a_node_that_is_not_well_is_named(found: dict[str, Any], weight: Weight, words: str) -> None:
    ((seen, where, what),) = of_api({"s1": node(READY), "s2": found}, WELL)
    assert (seen, where) == (weight, "s2")
    assert words in what


def test_what_its_kubelet_says_is_why() -> None:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "KubeletNotReady",
        "message": "cni plugin not initialized",
        "lastTransitionTime": "2026-11-30T10:00:00Z",
    }
    (finding,) = judged_api(WELL, {"s1": node(condition)}, PERSON)
    assert finding.why == "KubeletNotReady: cni plugin not initialized, since 2026-11-30T10:00:00Z"
    assert "clusterup logs s1 kubelet containerd" in finding.mend


@pytest.mark.parametrize(
    ("kubelet", "api", "words"),
    [
        ("v1.36.2", "v1.36.2", None),
        ("v1.33.0", "v1.36.2", None),
        ("v1.32.0", "v1.36.2", "more than 3 minor versions behind"),
        ("v1.24.0", "v1.27.0", "more than 2 minor versions behind"),
        ("v1.37.0", "v1.36.2", "newer than an API server"),
        ("unknown", "v1.36.2", "is no release"),
    ],
)
def test_kubelets_may_be_as_far_behind_as_kubernetes_says(kubelet: str, api: str, words: str | None) -> None:
    found = of_api({}, status(*map(member, NAMES), kubelet=kubelet, api=api))
    assert len(found) == (0 if words is None else 3)
    assert all(words in each[2] for each in found if words)


def test_a_silent_api_server_is_named_with_where_it_says_why() -> None:
    found = ClusterStatus("lab", (), (), (ApiHealth("s2", ready=False, version=None, problem="connection refused"),))
    (finding,) = judged_api(found, {}, PERSON)
    assert (finding.where, finding.why) == ("s2", "connection refused")
    assert "clusterup logs s2 kube-apiserver -i lab.yaml" in finding.mend


def test_a_kubernetes_that_gets_no_fixes_is_said_to_be_one() -> None:
    found = of_api({}, status(*map(member, NAMES), kubelet="v1.20.2", api="v1.20.2"))
    assert found == [(Weight.WARNING, CLUSTER, "Kubernetes 1.20 gets no fixes any more")]
