"""Networks of cards, pods and services, and who is where in them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.inventory.reading import lab, problem, problems, read

MAC = "52:54:00:12:34:56"
AGENT = {"name": "agent-1", "address": "192.0.2.21"}


def card(**more: Any) -> dict[str, Any]:
    return {"mac": MAC, "addresses": ["192.0.2.11/24"], **more}


def with_card(**more: Any) -> dict[str, Any]:
    return lab(interfaces=[card(**more)])


def test_a_gateway_lies_in_a_network_of_its_card() -> None:
    assert read(with_card(gateway="192.0.2.1")).inventory.nodes[0].interfaces[0].gateway is not None
    found = problem(with_card(gateway="198.51.100.1"))
    assert "server-1's gateway 198.51.100.1 is not a host of the card's network 192.0.2.0/24" in found
    assert found.endswith("allowed: a router in that network, as in 192.0.2.1")


@pytest.mark.parametrize("gateway", ["192.0.2.0", "192.0.2.255"])
def test_a_gateway_is_a_host(gateway: str) -> None:
    assert "is not a host of the card's network" in problem(with_card(gateway=gateway))


def test_a_gateway_is_another_machine() -> None:
    assert "server-1's gateway 192.0.2.11 is the card's own address" in problem(with_card(gateway="192.0.2.11"))


def test_a_gateway_without_an_address_leads_nowhere() -> None:
    assert "is that of a card without an address; allowed: addresses, or dhcp: true" in problem(
        lab(interfaces=[{"mac": MAC, "gateway": "192.0.2.1"}])
    )
    assert read(lab(interfaces=[{"mac": MAC, "gateway": "192.0.2.1", "dhcp": True}]))


def routes(*pairs: tuple[str, str], **more: Any) -> dict[str, Any]:
    return with_card(routes=[{"to": to, "via": via} for to, via in pairs], **more)


def test_routes_lead_through_other_routers_than_the_gateway() -> None:
    document = routes(("198.51.100.0/24", "192.0.2.254"), ("10.0.0.0/8", "192.0.2.253"), gateway="192.0.2.1")
    found = read(document).inventory.nodes[0].interfaces[0].routes
    assert [(str(route.to), str(route.via)) for route in found] == [
        ("198.51.100.0/24", "192.0.2.254"),
        ("10.0.0.0/8", "192.0.2.253"),
    ]


def test_a_route_to_the_network_of_the_nodes_other_card_would_take_it_away() -> None:
    document = routes(("198.51.100.0/24", "192.0.2.254"))
    document["nodes"][0]["interfaces"].append({"mac": "52:54:00:00:00:99", "addresses": ["198.51.100.7/24"]})
    assert "leads to a network of its own cards" in problem(document)


@pytest.mark.parametrize(
    ("to", "via", "said"),
    [
        ("198.51.100.0/24", "192.0.2.11", "through 192.0.2.11 is the card's own address"),
        ("198.51.100.0/24", "203.0.113.1", "through 203.0.113.1 is not a host of the card's network 192.0.2.0/24"),
        ("198.51.100.0/24", "192.0.2.255", "is not a host of the card's network"),
        ("198.51.100.1/24", "192.0.2.254", "it has host bits set; allowed: an IPv4 network"),
        ("0.0.0.0/0", "192.0.2.254", "it is the default route, which the card's gateway says"),
        ("192.0.2.0/24", "192.0.2.254", "leads to a network of its own cards"),
        ("10.244.3.0/24", "192.0.2.254", "takes addresses of cluster.pod_cidr (10.244.0.0/16)"),
        ("10.96.0.0/16", "192.0.2.254", "takes addresses of cluster.service_cidr"),
    ],
)
def test_a_route_that_leads_nowhere_or_takes_what_is_the_clusters_is_refused(to: str, via: str, said: str) -> None:
    assert said in problem(routes((to, via)))


def test_a_network_is_reached_over_one_route() -> None:
    twice = [("198.51.100.0/24", "192.0.2.254"), ("198.51.100.0/24", "192.0.2.253")]
    assert "server-1 has two routes to 198.51.100.0/24 (first in line 1)" in problem(routes(*twice))


def test_a_card_without_an_address_reaches_no_router() -> None:
    alone = {"mac": MAC, "routes": [{"to": "198.51.100.0/24", "via": "192.0.2.254"}]}
    assert "is that of a card without an address" in problem(lab(interfaces=[alone]))
    assert read(lab(interfaces=[{**alone, "dhcp": True}]))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("192.0.2.0/24", "it is an address of 192.0.2.0/24 itself, not of a host in it"),
        ("192.0.2.255/24", "it is an address of 192.0.2.0/24 itself"),
        ("192.0.2.11", "it has no prefix length from 1 to 32"),
        ("192.0.2.11/33", "it has no prefix length"),
        ("192.0.2.11/0", "it has no prefix length"),
        ("192.0.2.11/255.255.255.0", "it has no prefix length"),
        ("127.0.0.1/8", "the loopback addresses"),
        ("224.0.0.1/4", "the multicast addresses"),
        (3232235777, "did you mean '192.168.1.1'?"),
    ],
)
def test_an_address_that_no_card_can_have(address: object, said: str) -> None:
    found = problem(lab(interfaces=[{"mac": MAC, "addresses": [address]}]))
    assert "node server-1: interfaces.0.addresses.0: found " in found
    assert said in found
    assert "as in 192.0.2.11/24" in found


@pytest.mark.parametrize("address", ["192.0.2.10/31", "192.0.2.11/31", "192.0.2.11/32"])
def test_the_smallest_networks_have_nothing_but_hosts(address: str) -> None:
    assert read(lab(address=address.partition("/")[0], interfaces=[{"mac": MAC, "addresses": [address]}]))


def test_a_node_s_address_is_not_that_of_its_card_s_network() -> None:
    found = problems(lab(address="192.0.2.255", interfaces=[card()]))
    assert "server-1's address 192.0.2.255 is that of its card's network 192.0.2.0/24" in found[0]


def test_one_of_a_node_s_cards_has_its_address() -> None:
    found = problem(lab(address="192.0.2.12", interfaces=[card()]))
    assert "none of server-1's cards has its address 192.0.2.12; allowed: one that a card has (192.0.2.11)" in found
    assert read(lab(address="192.0.2.12", interfaces=[card(dhcp=True)]))


def test_an_address_belongs_to_one_card_of_one_node() -> None:
    cards = [card(), card(mac="52:54:00:12:34:57")]
    assert "two cards or nodes have the address 192.0.2.11" in problem(lab(interfaces=cards))
    other = {**AGENT, "interfaces": [card(mac="52:54:00:12:34:57", addresses=["192.0.2.21/24", "192.0.2.11/24"])]}
    assert "two cards or nodes have the address 192.0.2.11" in problem(lab(others=[other]))


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"pod_cidr": "10.96.0.0/12"}, "pods' network 10.96.0.0/12 and services' network 10.96.0.0/16 overlap"),
        ({"pod_cidr": "10.1.0.0/25"}, "pods' network 10.1.0.0/25 has no /24 for each node"),
        ({"pod_cidr": "192.0.0.0/7", "service_cidr": "10.0.0.0/16"}, "pods' network 192.0.0.0/7 is too large"),
        ({"service_cidr": "10.96.0.0/29"}, "services' network 10.96.0.0/29 is too small; allowed: from /12 to /28"),
        ({"service_cidr": "10.0.0.0/11"}, "services' network 10.0.0.0/11 is too large"),
        ({"pod_cidr": "192.0.2.0/24"}, "server-1's address 192.0.2.11 lies in cluster.pod_cidr (192.0.2.0/24)"),
        ({"service_cidr": "192.0.2.0/24"}, "server-1's address 192.0.2.11 lies in cluster.service_cidr"),
    ],
)
def test_networks_of_pods_and_services(cluster: dict[str, Any], said: str) -> None:
    assert said in "\n".join(problems(lab(cluster=cluster)))


@pytest.mark.parametrize(
    ("address", "said"),
    [("10.244.3.5/24", "cluster.pod_cidr (10.244.0.0/16)"), ("10.96.0.9/28", "cluster.service_cidr (10.96.0.0/16)")],
)
def test_a_card_s_network_lies_outside_of_pods_and_services(address: str, said: str) -> None:
    found = problem(lab(address="10.0.0.5", interfaces=[card(addresses=["10.0.0.5/24", address])]))
    assert found.partition("; ")[0].partition("overlaps ")[2] == said


def test_a_wide_network_around_those_of_pods_and_services_is_fine() -> None:
    assert read(lab(address="10.0.0.5", interfaces=[card(addresses=["10.0.0.5/8"], gateway="10.0.0.1")]))


def test_a_gateway_may_lie_in_the_network_that_dhcp_gives_the_card() -> None:
    assert read(with_card(gateway="198.51.100.1", dhcp=True))


def test_a_node_has_one_taint_of_each_key_and_effect() -> None:
    taint = {"key": "a", "effect": "NoSchedule"}
    assert read(lab(taints=[taint, {**taint, "effect": "NoExecute"}, {**taint, "key": "b"}]))
    said = "two taints have the key a and the effect NoSchedule (first in line 1); allowed: one each"
    assert said in problem(lab(taints=[taint, {**taint, "value": "x"}]))
    assert said in problem(lab(defaults={"taints": [taint, taint]}))


def test_a_disk_that_all_nodes_have_by_default_is_one_of_a_kind_of_name() -> None:
    assert read(lab(defaults={"disk": "/dev/sda"}, others=[AGENT]))
    assert "two nodes have the disk 'serial:A'" in problem(lab(defaults={"disk": "serial:A"}, others=[AGENT]))
