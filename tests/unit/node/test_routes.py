"""The pod network's agent: which routes a node should have."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from bootstrap.node.network.agent import nodes_in
from bootstrap.node.network.routes import (
    Peer,
    Route,
    card_with,
    conflist,
    parse_cards,
    parse_routes,
    peer_of,
    peers_of,
    wanted_routes,
)


def node(name: str, pods: str | None, address: str | None) -> dict[str, object]:
    addresses = [{"type": "Hostname", "address": name}]
    if address:
        addresses.append({"type": "InternalIP", "address": address})
    return {"metadata": {"name": name}, "spec": {"podCIDR": pods} if pods else {}, "status": {"addresses": addresses}}


def peer(name: str, pods: str, address: str) -> Peer:
    found = peer_of(node(name, pods, address))
    assert found is not None
    return found


def test_a_node_has_a_route_to_each_other_node_and_none_to_itself() -> None:
    peers = [peer(f"s{n}", f"10.244.{n}.0/24", f"10.77.0.1{n}") for n in (1, 2, 3)]
    routes, unreached = wanted_routes("s1", peers, [IPv4Interface("10.77.0.11/24")])
    assert routes == {Route(p.pods, p.address) for p in peers[1:]}
    assert unreached == ()


def test_a_node_behind_a_router_is_named_instead_of_routed_into_nowhere() -> None:
    far = peer("a9", "10.244.9.0/24", "192.0.2.9")
    routes, unreached = wanted_routes("s1", [far], [IPv4Interface("10.77.0.11/24")])
    assert routes == frozenset()
    assert unreached == (far,)


def test_a_node_without_pod_network_or_address_is_no_peer_yet() -> None:
    assert peer_of(node("s1", None, "10.77.0.11")) is None
    assert peer_of(node("s1", "10.244.1.0/24", None)) is None


def test_routes_are_read_from_what_ip_says() -> None:
    answer = [{"dst": "10.244.2.0/24", "gateway": "10.77.0.12", "dev": "ens4", "flags": []}]
    assert parse_routes(answer) == {
        Route(IPv4Network("10.244.2.0/24"), peer("b", "10.244.2.0/24", "10.77.0.12").address)
    }


def test_loopback_and_the_pods_bridge_are_no_cards() -> None:
    answer = [
        {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "cni0", "addr_info": [{"family": "inet", "local": "10.244.1.1", "prefixlen": 24}]},
        {"ifname": "ens4", "addr_info": [{"family": "inet", "local": "10.77.0.11", "prefixlen": 24}]},
    ]
    assert parse_cards(answer) == (IPv4Interface("10.77.0.11/24"),)


def test_pods_get_addresses_from_their_node_s_own_range() -> None:
    bridge = conflist(IPv4Network("10.244.1.0/24"), 1500)["plugins"][0]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]


def test_the_card_with_the_node_s_own_address_is_found_by_it() -> None:
    answer = [
        {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "ens3", "addr_info": [{"family": "inet", "local": "10.77.0.11", "prefixlen": 24}]},
    ]
    assert card_with(IPv4Address("10.77.0.11"), answer) == "ens3"
    assert card_with(IPv4Address("10.77.0.12"), answer) is None


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"metadata": 5},
        {"metadata": {"name": "x"}, "spec": 5},
        {"metadata": {"name": "x"}, "status": {"addresses": 5}},
        {"metadata": {"name": "x"}, "status": {"addresses": [5]}},
        {"metadata": {"name": "x"}, "status": {"addresses": [{"type": "InternalIP"}]}},
        node("x", "10.244.9.0/24", "no address"),
        node("x", "10.244.9.0/24", "fd00::9"),
        node("x", "no network", "10.77.0.19"),
        {**node("x", None, "10.77.0.19"), "spec": {"podCIDR": 5}},
        {**node("x", "10.244.9.0/24", "10.77.0.19"), "metadata": {"name": ["x"]}},
    ],
)
def test_a_node_that_says_what_no_one_understands_keeps_no_other_from_its_routes(odd: dict[str, Any]) -> None:
    peers, wrong = peers_of([odd, node("s1", "10.244.1.0/24", "10.77.0.11")])
    assert [each.name for each in peers] == ["s1"]
    assert len(wrong) == 1
    assert 0 < len(wrong[0]) <= 200


def test_nulls_are_what_is_not_there() -> None:
    assert peers_of([{"metadata": {"name": "x"}, "spec": None, "status": None}]) == ((), ())


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'{"items": 5}', b'{"items": [5]}', b"[" * 100_000])
def test_what_is_no_list_of_nodes_is_an_error_and_no_cluster_without_nodes(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        nodes_in(body)
    assert nodes_in(json.dumps({"items": []}).encode()) == []
