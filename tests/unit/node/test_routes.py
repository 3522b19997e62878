"""The pod network's agent: which routes a node should have."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from bootstrap.node.network.routes import (
    TUNNEL,
    Card,
    Peer,
    Route,
    card_with,
    conflist,
    parse_cards,
    parse_routes,
    peer_of,
    wanted_routes,
)
from bootstrap.node.network.tunnel import hardware_address


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


def test_a_node_behind_a_router_is_reached_through_the_tunnel() -> None:
    far = peer("a9", "10.244.9.0/24", "192.0.2.9")
    routes, through_the_tunnel = wanted_routes("s1", [far], [IPv4Interface("10.77.0.11/24")])
    assert routes == {Route(far.pods, IPv4Address("10.244.9.0"), TUNNEL)}
    assert through_the_tunnel == (far,)


def test_routes_through_the_tunnel_are_told_from_those_of_a_card() -> None:
    answer = [
        {"dst": "10.244.9.0/24", "gateway": "10.244.9.0", "dev": TUNNEL, "flags": ["onlink"]},
        {"dst": "10.244.2.0/24", "gateway": "10.77.0.12", "dev": "ens4", "flags": []},
    ]
    assert {route.device for route in parse_routes(answer)} == {TUNNEL, ""}


def test_ends_of_the_tunnel_have_hardware_addresses_that_follow_from_the_nodes() -> None:
    assert hardware_address(IPv4Address("192.0.2.9")) == "02:77:c0:00:02:09"


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
    answer: list[dict[str, Any]] = [
        {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "ens3", "mtu": 9000, "addr_info": [{"family": "inet", "local": "10.77.0.11", "prefixlen": 24}]},
    ]
    assert card_with(IPv4Address("10.77.0.11"), answer) == Card("ens3", 9000)
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
def test_a_node_that_says_what_no_one_understands_is_said_in_a_few_words(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S") as found:
        peer_of(odd)
    assert len(str(found.value)) <= 200


def test_nulls_are_what_is_not_there() -> None:
    assert peer_of({"metadata": {"name": "x"}, "spec": None, "status": None}) is None
