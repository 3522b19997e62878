"""No pod comes to a node before its DNS was told which names there are; and none is kept away for long."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from bootstrap.node.network import keep
from bootstrap.node.network.keep import PATIENCE_SECONDS, RouteKeeper
from bootstrap.node.network.routes import Peer
from bootstrap.node.watch.mirror import Mirror


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Peer, ...]]:
    """What the network was made of, each time."""
    found: list[tuple[Peer, ...]] = []

    def look(_: object, peers: tuple[Peer, ...]) -> str:
        found.append(peers)
        return ""

    monkeypatch.setattr(keep, "keep", look)
    monkeypatch.setattr(keep, "CNI_FILE", tmp_path / "clusterup.conflist")
    return found


class Time:
    """A clock that is set by hand, and what names say of themselves."""

    def __init__(self) -> None:
        self.now, self.fed = 0.0, False
        self.nodes: Mirror[Peer] = Mirror(lambda: None)
        self.keeper = RouteKeeper({}, self.nodes, lambda: self.fed, lambda: self.now)
        self.nodes.replace({"n1": Peer("n1", IPv4Network("10.244.0.0/24"), IPv4Address("10.0.0.1"))})


def test_the_network_waits_for_names(looks: list[tuple[Peer, ...]]) -> None:
    time = Time()
    time.keeper.round()
    assert looks == []
    time.fed = True
    time.keeper.round()
    assert len(looks) == 1


def test_a_dns_that_does_not_start_keeps_nobody_away(looks: list[tuple[Peer, ...]]) -> None:
    time = Time()
    time.keeper.round()
    time.now = PATIENCE_SECONDS + 1
    time.keeper.round()
    assert len(looks) == 1


def test_a_node_that_has_pods_is_looked_after_whatever_names_do(
    looks: list[tuple[Peer, ...]],
) -> None:
    keep.CNI_FILE.write_text("{}")
    time = Time()
    time.keeper.round()
    assert len(looks) == 1
