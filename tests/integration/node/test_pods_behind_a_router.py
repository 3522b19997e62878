"""Pods of nodes on different network segments reach each other: real interfaces in network namespaces, a router between
them that knows nothing of pods."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

ROUTER = "clusterup-test-router"
# What the agent of a node does in one look, without the CNI configuration, which is the machine's.
LOOK = """\
import json, sys
from bootstrap.node.network import keep
from bootstrap.node.network.routes import peer_of
from pathlib import Path
settings = json.load(sys.stdin)
keep.CNI_FILE = Path(settings["cni_file"])
sys.stdout.write(keep.keep(settings, tuple(map(peer_of, settings["nodes"]))))
"""


@dataclass(frozen=True)
class Node:
    """A node on a segment of its own: its address, its pods' network, and its one pod."""

    name: str
    segment: int

    @property
    def space(self) -> str:
        return f"clusterup-test-{self.name}"

    @property
    def pod_space(self) -> str:
        return f"{self.space}-pod"

    @property
    def address(self) -> str:
        return f"10.77.{self.segment}.11"

    @property
    def pod(self) -> str:
        return f"10.244.{self.segment}.2"

    @property
    def object(self) -> dict[str, object]:
        return {
            "metadata": {"name": self.name},
            "spec": {"podCIDR": f"10.244.{self.segment}.0/24"},
            "status": {"addresses": [{"type": "InternalIP", "address": self.address}]},
        }


NODES = (Node("a", 1), Node("b", 2))


def ip(space: str, *arguments: str) -> str:
    done = subprocess.run(("ip", "-n", space, *arguments), capture_output=True, text=True, check=True)
    return done.stdout


@contextmanager
def space(name: str) -> Iterator[None]:
    subprocess.run(("ip", "netns", "add", name), check=True)
    try:
        ip(name, "link", "set", "lo", "up")
        yield
    finally:
        subprocess.run(("ip", "netns", "delete", name), check=True)


def wire(*ends: tuple[str, str, str]) -> None:
    """A network of two: each end is a namespace, a card, and its address ("10.77.1.1/24")."""
    (one, card, _), (other, other_card, _) = ends
    ip(one, "link", "add", card, "type", "veth", "peer", "name", other_card, "netns", other)
    for name, each, address in ends:
        ip(name, "address", "add", address, "dev", each)
        ip(name, "link", "set", each, "up")


@pytest.fixture
def site() -> Iterator[None]:
    """Two nodes, a pod on each, and a router."""
    with ExitStack() as stack:
        for name in (ROUTER, *(name for node in NODES for name in (node.space, node.pod_space))):
            stack.enter_context(space(name))
        for node in NODES:
            segment, pods = f"10.77.{node.segment}", f"10.244.{node.segment}"
            wire((ROUTER, f"to-{node.name}", f"{segment}.1/24"), (node.space, "ens3", f"{segment}.11/24"))
            ip(node.space, "route", "add", "default", "via", f"{segment}.1")
            wire((node.space, "cni0", f"{pods}.1/24"), (node.pod_space, "eth0", f"{pods}.2/24"))
            ip(node.pod_space, "route", "add", "default", "via", f"{pods}.1")
        for name in (ROUTER, *(node.space for node in NODES)):
            runs(name, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        yield


def runs(space: str, *argv: str, given: str = "") -> str:
    done = subprocess.run(
        ("ip", "netns", "exec", space, *argv), input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def look(node: Node, tmp_path: object, *nodes: Node) -> str:
    """The agent's look on a node, when the cluster has these; what could not be done."""
    settings = {
        "node": node.name,
        "pods": "10.244.0.0/16",
        "services": "10.96.0.0/16",
        "cni_file": f"{tmp_path}/{node.name}.conflist",
        "nodes": [each.object for each in nodes],
    }
    return runs(node.space, sys.executable, "-c", LOOK, given=json.dumps(settings))


def reaches(source: str, address: str, size: int = 56) -> bool:
    argv = ("ip", "netns", "exec", source, "busybox", "ping", "-c", "1", "-W", "5", "-s", str(size), address)
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_pods_reach_each_other_and_the_other_node_and_large_packets_too(site: None, tmp_path: object) -> None:
    one, other = NODES
    assert not reaches(one.pod_space, other.pod)
    for _ in range(2):
        # The second look changes nothing, and needs nothing to be as it was.
        assert [look(node, tmp_path, *NODES) for node in NODES] == ["", ""]
    assert reaches(one.pod_space, other.pod)
    assert reaches(other.pod_space, one.pod)
    assert reaches(one.space, other.pod)
    assert reaches(one.pod_space, other.pod, 4000)


def test_new_pods_have_an_mtu_that_fits_into_the_tunnel(site: None, tmp_path: object) -> None:
    def mtu(node: Node) -> int:
        with open(f"{tmp_path}/{node.name}.conflist") as file:  # noqa: PTH123
            return int(json.load(file)["plugins"][0]["mtu"])

    one, _ = NODES
    ip(one.space, "link", "set", "ens3", "mtu", "9000")
    look(one, tmp_path, one)
    assert mtu(one) == 9000
    look(one, tmp_path, *NODES)
    assert mtu(one) == 8950


def test_a_tunnel_that_leads_nowhere_any_more_goes(site: None, tmp_path: object) -> None:
    one, _ = NODES
    look(one, tmp_path, *NODES)
    assert "clusterup-vxlan" in ip(one.space, "link", "show")
    look(one, tmp_path, one)
    assert "clusterup-vxlan" not in ip(one.space, "link", "show")
    assert ip(one.space, "route", "show", "proto", "77") == ""


def test_what_somebody_took_away_is_back_after_the_next_look(site: None, tmp_path: object) -> None:
    one, other = NODES
    for node in NODES:
        look(node, tmp_path, *NODES)
    ip(one.space, "link", "set", "clusterup-vxlan", "down")
    ip(one.space, "neighbour", "flush", "dev", "clusterup-vxlan")
    look(one, tmp_path, *NODES)
    assert reaches(one.pod_space, other.pod)
