"""The pod network's agent: reads the cluster's nodes through the local balancer and keeps this node's routes,
its CNI configuration and the masquerading of traffic that leaves the cluster.

It polls, because a list of nodes is small, and a watch that dies in silence leaves stale routes behind.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bootstrap.node.network.routes import (
    PROTOCOL,
    Peer,
    Route,
    card_with,
    conflist,
    parse_cards,
    parse_routes,
    peers_of,
    wanted_routes,
)
from bootstrap.outside import parsed_json
from bootstrap.protocol.exchange import asked

CNI_FILE = Path("/etc/cni/net.d/10-clusterup.conflist")
EVERY_SECONDS = 5.0
# A round costs a small machine a TLS handshake and some processes: less often while nothing changes.
SETTLED_SECONDS = 15.0
SERVICES_PROTOCOL = "78"


def main(path: str) -> int:
    """Keep the node's network as the settings in the file at `path` ask, until SIGTERM."""
    settings = json.loads(Path(path).read_text())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    said = ""
    while not stop.is_set():
        try:
            problem = keep(settings)
        except (OSError, ValueError, KeyError, http.client.HTTPException, subprocess.SubprocessError) as error:
            problem = f"{type(error).__name__}: {error}"
        # The same trouble in every round would fill the journal and say nothing new.
        if problem != said:
            sys.stderr.write((problem or "the pod network is as the cluster has it") + "\n")
            said = problem
        stop.wait(EVERY_SECONDS if problem else SETTLED_SECONDS)
    return 0


def keep(settings: dict[str, str]) -> str:
    """One round. Returns what could not be done, or an empty text."""
    peers, wrong = peers_of(nodes(settings))
    own = next((peer for peer in peers if peer.name == settings["node"]), None)
    if own is None:
        return "; ".join((f"node {settings['node']} has no pod network yet", *wrong))
    addresses = ip("-4", "address", "show")
    wanted, unreached = wanted_routes(own.name, peers, parse_cards(addresses))
    write_conflist(own)
    if card := card_with(own.address, addresses):
        lead_services(IPv4Network(settings["services"]), card, own)
    masquerade(own.pods, IPv4Network(settings["pods"]))
    change_routes(wanted, parse_routes(ip("-4", "route", "show", "proto", PROTOCOL)))
    away = (f"{peer.name} ({peer.address}) is on no network of this node" for peer in unreached)
    return "; ".join((*away, *wrong))


def nodes(settings: dict[str, str]) -> list[dict[str, Any]]:
    """All Node objects. Raises OSError while there is no certificate or no server, ValueError for any other answer."""
    server = urlsplit(settings["server"])
    context = ssl.create_default_context(cafile=settings["ca"])
    context.load_cert_chain(settings["certificate"])
    path = "/api/v1/nodes?resourceVersion=0"
    answer = asked(server.hostname or "", server.port, context, path, {"Accept": "application/json"})
    if answer.status != 200:
        raise ValueError(f"the API server says {answer.status}: {answer.body[:200].decode(errors='replace')}")
    return nodes_in(answer.body)


def nodes_in(body: bytes) -> list[dict[str, Any]]:
    """The Node objects in an answer. Raises ValueError where it is not a list of objects."""
    found = parsed_json(body)
    items = found.get("items") if isinstance(found, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("the API server's answer is not a list of Nodes")
    return items


def ip(*arguments: str) -> list[dict[str, Any]]:
    """What `ip -json` says; it says nothing at all where there is nothing to say."""
    answer = run("ip", "-json", *arguments).stdout
    found: list[dict[str, Any]] = json.loads(answer) if answer.strip() else []
    return found


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30)


def change_routes(wanted: frozenset[Route], there: frozenset[Route]) -> None:
    """Add what is missing and take away what is no longer wanted; nothing that stays is touched."""
    for route in sorted(there - wanted):
        run("ip", "route", "del", str(route.pods), "via", str(route.via), "proto", PROTOCOL)
    for route in sorted(wanted - there):
        run("ip", "route", "replace", str(route.pods), "via", str(route.via), "proto", PROTOCOL)


def write_conflist(own: Peer) -> None:
    """Write the CNI configuration where it differs; whole or not at all, as the runtime watches the folder."""
    text = json.dumps(conflist(own.pods, 1500), indent=1) + "\n"
    if CNI_FILE.exists() and CNI_FILE.read_text() == text:
        return
    CNI_FILE.parent.mkdir(parents=True, exist_ok=True)
    unfinished = CNI_FILE.with_name("." + CNI_FILE.name)
    unfinished.write_text(text)
    os.replace(unfinished, CNI_FILE)  # noqa: PTH105


def lead_services(services: IPv4Network, card: str, own: Peer) -> None:
    """Give the node itself a route to services. kube-proxy changes the destination only after a route was found, and a
    node without a default route has none."""
    if not ip("-4", "route", "show", str(services)):
        run("ip", "route", "add", str(services), "dev", card, "src", str(own.address), "proto", SERVICES_PROTOCOL)


def masquerade(own: IPv4Network, pods: IPv4Network) -> None:
    """Give packets from this node's pods to the world outside the pod network the node's own address."""
    rule = ("-s", str(own), "!", "-d", str(pods), "-m", "comment", "--comment", "clusterup", "-j", "MASQUERADE")
    check = subprocess.run(
        ("iptables", "-w", "-t", "nat", "-C", "POSTROUTING", *rule), check=False, capture_output=True, timeout=30
    )
    if check.returncode:
        run("iptables", "-w", "-t", "nat", "-A", "POSTROUTING", *rule)
