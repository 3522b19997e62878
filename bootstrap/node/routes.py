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


def peer_of(node: Mapping[str, Any]) -> Peer | None:
    """The peer in a Node object, or None while it has no pod network or no address yet."""
    pods = node.get("spec", {}).get("podCIDR")
    addresses = node.get("status", {}).get("addresses") or []
    internal = [entry["address"] for entry in addresses if entry.get("type") == "InternalIP"]
    if not pods or not internal:
        return None
    return Peer(node["metadata"]["name"], IPv4Network(pods), IPv4Address(internal[0]))


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
