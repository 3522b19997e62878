"""A server that loses its power while it joins etcd."""

from __future__ import annotations

import json

import pytest

from tests.e2e.cluster.members import every_server_votes, remove_member
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
THREE = SERVERS[2]


def test_a_server_that_loses_its_power_while_it_joins_etcd_is_a_voter_after_the_next_apply(cluster: Operator) -> None:
    remove_member(cluster, THREE)
    cut = False
    with cluster.begins("apply", "lab.yaml", "--yes", "-o", "json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if not cut and (event.get("id"), event.get("text")) == (f"{THREE}/etcd.member", "waiting for etcd"):
                cut = True
                cluster.clusterup("lab", "stop", THREE, "--name", cluster.name)
                cluster.clusterup("lab", "up", "--name", cluster.name, "--inventory", "lab.yaml")
        # It waits for the machine, or gives it up: with what it did besides, or with nothing.
        assert process.wait() in (0, 1, 3)
    assert cut
    cluster.clusterup("apply", "lab.yaml", "--yes", "--wait-for-lock")
    every_server_votes(cluster)
    assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")
