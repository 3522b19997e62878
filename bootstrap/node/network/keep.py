"""Keeps the pod network of this node: the routes to the other nodes' pods, the CNI configuration, and the masquerading
of traffic that leaves the cluster.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from bootstrap.node.network.commands import append_rule, ip, run
from bootstrap.node.network.routes import (
    PROTOCOL,
    Card,
    Peer,
    Route,
    card_with,
    conflist,
    parse_cards,
    parse_routes,
    wanted_routes,
)
from bootstrap.node.network.tunnel import OVERHEAD, keep_tunnel
from bootstrap.node.watch.mirror import Mirror
from bootstrap.node.whole import write_whole

CNI_FILE = Path("/etc/cni/net.d/10-clusterup.conflist")
# How often is looked whether somebody has taken away what this node needs: it costs a small machine some processes.
LOOK_SECONDS = 60.0
# And where the last look found what could not be done.
AGAIN_SECONDS = 5.0
# A DNS that does not start keeps no pods away that need no names.
PATIENCE_SECONDS = 30.0
SERVICES_PROTOCOL = "78"
Settings = Mapping[str, Any]


class RouteKeeper:
    """`settings` are those of the node's agent, `nodes` all nodes of the cluster, `answers` whether the cluster's DNS
    on this node has been told what it is to answer."""

    def __init__(
        self,
        settings: Settings,
        nodes: Mirror[Peer],
        answers: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._nodes, self._answers, self._clock = settings, nodes, answers, clock
        self._due = 0.0
        self._problem = ""
        self._known_since: float | None = None

    def round(self) -> str:
        """Look after the network where nodes have changed, or where that is due. Returns what could not be done, or an
        empty text."""
        changed = self._nodes.take()
        if not self._nodes.whole or not self._may_begin():
            return ""
        if changed or self._clock() >= self._due:
            try:
                self._problem = keep(self._settings, tuple(self._nodes.items.values()))
            except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
                self._problem = f"{type(error).__name__}: {error}"
            self._due = self._clock() + (AGAIN_SECONDS if self._problem else LOOK_SECONDS)
        return self._problem

    def _may_begin(self) -> bool:
        """Whether pods may come to this node: none does before it has a CNI configuration. While the cluster's DNS has
        not been told which names there are, it would tell them that there are none."""
        if self._known_since is None:
            self._known_since = self._clock()
        return self._answers() or CNI_FILE.exists() or self._clock() - self._known_since > PATIENCE_SECONDS


def keep(settings: Settings, peers: tuple[Peer, ...]) -> str:
    """One look. Returns what could not be done, or an empty text."""
    own = next((peer for peer in peers if peer.name == settings["node"]), None)
    if own is None:
        return f"node {settings['node']} has no pod network yet"
    addresses = ip("-4", "address", "show")
    wanted, far = wanted_routes(own.name, peers, parse_cards(addresses))
    card = card_with(own.address, addresses)
    if card is None:
        return f"no card has this node's address {own.address}"
    keep_tunnel(own, card, far)
    write_conflist(own, card.mtu - (OVERHEAD if far else 0))
    lead_services(IPv4Network(settings["services"]), card, own)
    masquerade(own.pods, IPv4Network(settings["pods"]))
    change_routes(wanted, parse_routes(ip("-4", "route", "show", "proto", PROTOCOL)))
    return ""


def change_routes(wanted: frozenset[Route], there: frozenset[Route]) -> None:
    """Add what is missing and take away what is no longer wanted; nothing that stays is touched."""
    for route in sorted(there - wanted):
        run("ip", "route", "del", str(route.pods), "via", str(route.via), "proto", PROTOCOL)
    for route in sorted(wanted - there):
        through = ("dev", route.device, "onlink") if route.device else ()
        run("ip", "route", "replace", str(route.pods), "via", str(route.via), *through, "proto", PROTOCOL)


def write_conflist(own: Peer, mtu: int) -> None:
    """Write the CNI configuration where it differs; whole or not at all, as the runtime watches the folder."""
    text = json.dumps(conflist(own.pods, mtu), indent=1) + "\n"
    if CNI_FILE.exists() and CNI_FILE.read_text() == text:
        return
    write_whole(CNI_FILE, text)


def lead_services(services: IPv4Network, card: Card, own: Peer) -> None:
    """Give the node itself a route to services. kube-proxy changes the destination only after a route was found, and a
    node without a default route has none."""
    if not ip("-4", "route", "show", str(services)):
        run("ip", "route", "add", str(services), "dev", card.name, "src", str(own.address), "proto", SERVICES_PROTOCOL)


def masquerade(own: IPv4Network, pods: IPv4Network) -> None:
    """Give packets from this node's pods to the world outside the pod network the node's own address."""
    rule = ("-s", str(own), "!", "-d", str(pods), "-m", "comment", "--comment", "clusterup", "-j", "MASQUERADE")
    append_rule("nat", "POSTROUTING", *rule)
