"""Who answers for names, as an inventory says it."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from bootstrap.inventory.dns import Dns
from tests.unit.inventory.reading import lab, problem, read


def with_dns(dns: Any, **cluster: Any) -> dict[str, Any]:
    return {**lab(cluster=cluster), "dns": dns}


def test_the_nodes_answer_where_nothing_is_written() -> None:
    assert read(lab()).inventory.dns == Dns(by="nodes")


def test_a_cluster_may_leave_its_names_to_somebody_else() -> None:
    assert read(with_dns("none")).inventory.dns.by == "none"


def test_domains_may_have_name_servers_of_their_own() -> None:
    found = read(with_dns({"forward": {"corp.example": ["10.1.2.3", "10.1.2.4"]}})).inventory.dns
    assert found.forward == {"corp.example": (IPv4Address("10.1.2.3"), IPv4Address("10.1.2.4"))}


@pytest.mark.parametrize(
    ("dns", "said"),
    [
        ("coredns", "none, or a mapping, as in {forward: {corp.example: [10.1.2.3]}}"),
        (False, "dns"),
        (None, "dns"),
        ({"by": "unbound"}, "nodes"),
        ({"forward": {"corp.example": []}}, "corp.example"),
        ({"forward": {"corp.example": ["ns.corp.example"]}}, "an IPv4 address"),
        ({"forward": {"not a domain": ["10.1.2.3"]}}, "not a domain"),
        ({"by": "none", "forward": {"corp.example": ["10.1.2.3"]}}, "nodes that answer for no names forward none"),
        ({"forward": {"cluster.local": ["10.1.2.3"]}}, "the names of cluster.local are the cluster's own"),
        ({"forward": {"svc.cluster.local": ["10.1.2.3"]}}, "the names of cluster.local are the cluster's own"),
        ({"by": "none", "nodes": True}, "nodes that answer for no names find none"),
        ({"nodes": "yes"}, "true or false"),
    ],
)
def test_what_is_not_right_is_said_at_its_place(dns: Any, said: str) -> None:
    assert said in problem(with_dns(dns))


def test_another_domain_of_the_cluster_leaves_that_one_to_others() -> None:
    found = read(with_dns({"forward": {"cluster.local": ["10.1.2.3"]}}, domain="k8s.example")).inventory.dns
    assert list(found.forward) == ["cluster.local"]


def test_nodes_with_name_servers_of_their_own_do_not_find_the_cluster_s_names() -> None:
    said = problem({**lab(dns=["192.0.2.1"]), "dns": {"nodes": True}})
    assert "server-1 has name servers of its own" in said
    assert read(with_dns({"nodes": True})).inventory.dns.nodes
