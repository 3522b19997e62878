"""Which routes a node needs so that its pods reach the pods of all others: a pure calculation.

A node whose address lies in a network that a card of ours is attached to is reached directly. One behind a router is
reached through a tunnel, as a router knows nothing of pods. Each node decides that for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

# Kept apart from every other route of the node, so that ours can be told from theirs (rtnetlink(7), "protocol").
PROTOCOL = "77"
# The interface of the tunnel to nodes behind a router.
TUNNEL = "clusterup-vxlan"
# What has addresses and leads to no network: DNS of the cluster is on one of them.
NO_CARDS = ("lo", "cni0", "clusterup-dns", TUNNEL)
ETHERNET_MTU = 1500
# Characters of what is said of one Node that is wrong.
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Card:
    """A network card: its name, and the size in bytes of the largest packet that it sends."""

    name: str
    mtu: int


@dataclass(frozen=True)
class Peer:
    """A node as the API knows it: its pods' network and its own address."""

    name: str
    pods: IPv4Network
    address: IPv4Address


@dataclass(frozen=True, order=True)
class Route:
    """`pods` are reached through `via`; with a `device`, that is known there alone."""

    pods: IPv4Network
    via: IPv4Address
    device: str = ""


def peer_of(node: Mapping[str, Any]) -> Peer | None:
    """The peer in a Node object, or None while it has no pod network or no address yet. Raises ValueError for what is
    none."""
    try:
        name = node["metadata"]["name"]
        pods = (node.get("spec") or {}).get("podCIDR")
        addresses = (node.get("status") or {}).get("addresses") or []
        internal = [entry["address"] for entry in addresses if entry.get("type") == "InternalIP"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a Node can't be understood: {type(error).__name__}: {error}"[:SHOWN]) from None
    if not pods or not internal:
        return None
    if not all(isinstance(text, str) for text in (name, pods, internal[0])):
        raise ValueError(f"node {name} has a name, a podCIDR or an address that is not text"[:SHOWN])
    try:
        return Peer(name, IPv4Network(pods), IPv4Address(internal[0]))
    except ValueError as error:
        raise ValueError(f"node {name}: {error}"[:SHOWN]) from None


def wanted_routes(
    own: str, peers: Iterable[Peer], cards: Iterable[IPv4Interface]
) -> tuple[frozenset[Route], tuple[Peer, ...]]:
    """The routes that node `own` should have, and the peers that are on no network of its `cards`: those that are
    reached through the tunnel."""
    networks = [card.network for card in cards]
    routes, far = set(), []
    for peer in peers:
        if peer.name == own:
            continue
        if any(peer.address in network for network in networks):
            routes.add(Route(peer.pods, peer.address))
        else:
            routes.add(Route(peer.pods, peer.pods.network_address, TUNNEL))
            far.append(peer)
    return frozenset(routes), tuple(far)


def parse_routes(answer: Iterable[Mapping[str, Any]]) -> frozenset[Route]:
    """The routes in what `ip -json route show proto 77` says."""
    return frozenset(
        Route(
            IPv4Network(entry["dst"]),
            IPv4Address(entry["gateway"]),
            TUNNEL if entry.get("dev") == TUNNEL else "",
        )
        for entry in answer
        if entry.get("gateway")
    )


def parse_cards(answer: Iterable[Mapping[str, Any]]) -> tuple[IPv4Interface, ...]:
    """The addresses of real cards in what `ip -json -4 address` says; loopback and pod bridges are none."""
    return tuple(
        IPv4Interface(f"{entry['local']}/{entry['prefixlen']}")
        for card in answer
        if card.get("ifname") not in NO_CARDS
        for entry in card.get("addr_info", [])
        if entry.get("family") == "inet"
    )


def card_with(address: IPv4Address, answer: Iterable[Mapping[str, Any]]) -> Card | None:
    """The card that has `address`, in what `ip -json -4 address` says."""
    for card in answer:
        if any(entry.get("local") == str(address) for entry in card.get("addr_info", [])):
            return Card(str(card["ifname"]), int(card.get("mtu") or ETHERNET_MTU))
    return None


def conflist(pods: IPv4Network, mtu: int) -> dict[str, Any]:
    """The CNI configuration of a node: a bridge, host-local addresses, host ports.

    Source: https://www.cni.dev/plugins/current/main/bridge/
    """
    return {
        "cniVersion": "0.4.0",
        "name": "clusterup",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "hairpinMode": True,
                "mtu": mtu,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": str(pods)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    # Addresses of pods that a reboot ended have to be free again.
                    "dataDir": "/run/cni/ipam",
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
