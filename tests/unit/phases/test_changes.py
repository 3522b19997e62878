"""What a restart interrupts, by who else is there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bootstrap.facts.model import ClusterFacts
from bootstrap.phases.changes import NO_QUORUM, interrupted


def world(active: int, voters: int | None = None) -> ClusterFacts:
    """Servers s1, s2, ..., of which so many run everything; so many members of etcd have a vote."""
    unit = SimpleNamespace(active="active")
    nodes = {
        f"s{n + 1}": SimpleNamespace(units=dict.fromkeys(("etcd.service", "kube-apiserver.service"), unit))
        for n in range(active)
    }
    members = [SimpleNamespace(learner=False) for _ in range(active if voters is None else voters)]
    found: Any = SimpleNamespace(nodes=nodes, etcd=SimpleNamespace(members=members))
    return cast(ClusterFacts, found)


@pytest.mark.parametrize(
    ("active", "voters", "said"),
    [
        (3, 3, "the other members keep the quorum"),
        (5, 5, "the other members keep the quorum"),
        (4, 5, "the other members keep the quorum"),
        (2, 3, NO_QUORUM),
        (2, 2, NO_QUORUM),
        (3, 5, NO_QUORUM),
        (1, 1, "the API does not answer until it is back; pods go on"),
    ],
)
def test_a_restart_of_etcd_is_called_what_it_is(active: int, voters: int, said: str) -> None:
    assert interrupted("etcd.service", "s1", world(active, voters)) == said


def test_an_api_server_alone_is_the_api() -> None:
    assert interrupted("kube-apiserver.service", "s1", world(1)).startswith("the API does not answer")
    assert interrupted("kube-apiserver.service", "s1", world(2)) == "what is connected to it connects to another one"
    assert interrupted("kubelet.service", "s1", world(1)) == "pods go on"
    assert interrupted("clusterup-images.service", "s1", world(1)) == ""
