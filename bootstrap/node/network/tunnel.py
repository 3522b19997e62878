"""The way to pods of nodes behind a router: their packets travel in packets between the nodes' own addresses.

Nobody has to be told of anything: what a node needs to know of another one, its address and its pods' network, stands
in its Node, and the hardware address of its end of the tunnel follows from that.
Source: RFC 7348, ip-link(8) "VXLAN Type Support", bridge(8)
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from bootstrap.node.network.commands import append_rule, bridge, ip, run
from bootstrap.node.network.routes import TUNNEL, Card, Peer

# Which of the tunnels between two machines it is (VNI), and where it listens (UDP): the port that IANA gave VXLAN.
NUMBER, PORT = "77", "4789"
# Bytes of a packet that carry the packet within: IPv4 20, UDP 8, VXLAN 8, Ethernet 14.
OVERHEAD = 50
NOBODY = "00:00:00:00:00:00"


def hardware_address(node: IPv4Address) -> str:
    """That of a node's end of the tunnel: locally administered (IEEE 802, bit 1 of the first octet), and the node's own
    address in it."""
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x77, *node.packed))


def keep_tunnel(own: Peer, card: Card, far: Iterable[Peer]) -> None:
    """Make the tunnel's interface as it should be for these peers, and tell it where each of them is; without any, it
    goes. Raises what subprocess raises."""
    peers = tuple(far)
    there = any(each.get("ifname") == TUNNEL for each in ip("link", "show"))
    if not peers:
        if there:
            run("ip", "link", "delete", TUNNEL)
        return
    if there and not _is_right(own, card):
        run("ip", "link", "delete", TUNNEL)
        there = False
    if not there:
        _make(own, card)
    _tell(peers)
    # Pods from before there was a tunnel send larger packets than it carries.
    append_rule(
        "mangle", "FORWARD", "-o", TUNNEL, "-p", "tcp", "--tcp-flags", "SYN,RST", "SYN", "-m", "comment", "--comment",
        "clusterup", "-j", "TCPMSS", "--clamp-mss-to-pmtu",
    )  # fmt: skip


def _is_right(own: Peer, card: Card) -> bool:
    (found,) = ip("-details", "address", "show", "dev", TUNNEL)
    about = found.get("linkinfo", {}).get("info_data", {})
    local = {entry.get("local") for entry in found.get("addr_info", [])}
    return bool(
        "UP" in found.get("flags", [])
        and about.get("local") == str(own.address)
        and found.get("mtu") == card.mtu - OVERHEAD
        and str(own.pods.network_address) in local
    )


def _make(own: Peer, card: Card) -> None:
    run(
        "ip", "link", "add", TUNNEL, "address", hardware_address(own.address), "mtu", str(card.mtu - OVERHEAD),
        "type", "vxlan", "id", NUMBER, "dev", card.name, "local", str(own.address), "dstport", PORT, "nolearning",
    )  # fmt: skip
    # Packets of the node itself to pods over there come from here, and answers to them find the way back.
    run("ip", "address", "add", f"{own.pods.network_address}/32", "dev", TUNNEL)
    run("ip", "link", "set", TUNNEL, "up")


def _tell(peers: tuple[Peer, ...]) -> None:
    """Where the other end of each is, by its hardware address; ends of nodes that are gone are taken away."""
    wanted_ends = {hardware_address(peer.address): str(peer.address) for peer in peers}
    ends = {each["mac"]: each.get("dst") for each in bridge("fdb", "show", "dev", TUNNEL) if each["mac"] != NOBODY}
    for mac, address in wanted_ends.items():
        if ends.get(mac) != address:
            run("bridge", "fdb", "replace", mac, "dev", TUNNEL, "dst", address)
    for mac in ends.keys() - wanted_ends.keys():
        run("bridge", "fdb", "del", mac, "dev", TUNNEL)
    wanted_ways = {str(peer.pods.network_address): hardware_address(peer.address) for peer in peers}
    ways = {
        each["dst"]: each.get("lladdr") for each in ip("-4", "neighbour", "show", "dev", TUNNEL, "nud", "permanent")
    }
    for gateway, mac in wanted_ways.items():
        if ways.get(gateway) != mac:
            run("ip", "neighbour", "replace", gateway, "lladdr", mac, "dev", TUNNEL, "nud", "permanent")
    for gateway in ways.keys() - wanted_ways.keys():
        run("ip", "neighbour", "del", gateway, "dev", TUNNEL)
