"""Three servers are put aside, taken down, and brought back with all that they knew."""

from __future__ import annotations

import time

import pytest

from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS

pytestmark = pytest.mark.e2e


def test_a_cluster_that_was_put_aside_and_taken_down_is_back_and_healthy_with_what_was_written_before(
    cluster: Operator,
) -> None:
    cluster.kubectl("create", "configmap", "before", "--from-literal=written=before")
    saved = f"{cluster.name}-put-aside"
    cluster.clusterup("lab", "save", saved, "--name", cluster.name, "--keep", "100")
    try:
        cluster.kubectl("create", "configmap", "after", "--from-literal=written=after")
        cluster.clusterup("lab", "down", "--name", cluster.name)
        assert not cluster.kept.exists()
        said = cluster.clusterup("lab", "restore", saved)
    finally:
        cluster.clusterup("lab", "forget", saved, "--yes")
    assert "its cluster is healthy" in said
    # With the kubeconfig of before.
    assert cluster.kubectl("get", "configmap", "before", "-o", "jsonpath={.data.written}") == "before"
    assert cluster.asks("get", "configmap", "after").returncode != 0
    assert cluster.states() == dict.fromkeys(SERVERS, "Ready")
    # It stood still for longer than that.
    assert max(apart(cluster, name) for name in SERVERS) < 10
    assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")
    cluster.kubectl("delete", "configmap", "before")


def apart(cluster: Operator, node: str) -> float:
    """By how many seconds a node's clock differs from this machine's, however long the way there takes."""
    before = time.time()
    there = float(cluster.runs_on(node, "date +%s.%N"))
    return max(before - there, there - time.time(), 0.0)
