"""Which routes a node needs so that its pods reach the pods of all others: a pure calculation.

A node whose address lies in a network that a card of ours is attached to is reached directly. One behind a router
would need a tunnel; it is reported, because a route through a router that knows nothing of pods would drop in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

# Kept apart from every other route of the node, so that ours can be told from theirs (rtnetlink(7), "protocol").
PROTOCOL = "77"
# Characters of what is said of one Node that is wrong.
SHOWN = 200


@dataclass(frozen=True)
class Peer:
    """A node as the API knows it: its pods' network and its own address."""

    name: str
    pods: IPv4Network
    address: IPv4Address


@dataclass(frozen=True, order=True)
class Route:
    """`pods` are reached through `via`."""

    pods: IPv4Network
    via: IPv4Address


def peers_of(nodes: Iterable[Mapping[str, Any]]) -> tuple[tuple[Peer, ...], tuple[str, ...]]:
    """The peers in Node objects, and what is wrong with those that can't be understood: a kubelet says what it likes of
    its own node, and keeps no other node from its routes."""
    peers, wrong = [], []
    for node in nodes:
        try:
            peers.append(peer_of(node))
        except ValueError as error:
            wrong.append(str(error))
    return tuple(peer for peer in peers if peer), tuple(wrong)


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
    """The routes that node `own` should have, and the peers that are on no network of its `cards`."""
    networks = [card.network for card in cards]
    routes, unreached = set(), []
    for peer in peers:
        if peer.name == own:
            continue
        if any(peer.address in network for network in networks):
            routes.add(Route(peer.pods, peer.address))
        else:
            unreached.append(peer)
    return frozenset(routes), tuple(unreached)


def parse_routes(answer: Iterable[Mapping[str, Any]]) -> frozenset[Route]:
    """The routes in what `ip -json route show proto 77` says."""
    return frozenset(
        Route(IPv4Network(entry["dst"]), IPv4Address(entry["gateway"])) for entry in answer if entry.get("gateway")
    )


def parse_cards(answer: Iterable[Mapping[str, Any]]) -> tuple[IPv4Interface, ...]:
    """The addresses of real cards in what `ip -json -4 address` says; loopback and pod bridges are none."""
    return tuple(
        IPv4Interface(f"{entry['local']}/{entry['prefixlen']}")
        for card in answer
        if card.get("ifname") not in ("lo", "cni0")
        for entry in card.get("addr_info", [])
        if entry.get("family") == "inet"
    )


def card_with(address: IPv4Address, answer: Iterable[Mapping[str, Any]]) -> str | None:
    """The name of the card that has `address`, in what `ip -json -4 address` says."""
    for card in answer:
        if any(entry.get("local") == str(address) for entry in card.get("addr_info", [])):
            return str(card["ifname"])
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
