"""A second operator on a machine of their own takes the cluster over from one of its servers."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bootstrap.constants.paths import HANDOVER
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture
def second(cluster: Operator, tmp_path: Path) -> Operator:
    """Somebody with nothing but a key that the servers let in."""
    return Operator(tmp_path, tmp_path / "state")


@pytest.mark.parametrize("server", SERVERS)
def test_what_any_server_hands_over_leaves_nothing_to_do(cluster: Operator, second: Operator, server: str) -> None:
    said = second.adopt(cluster, server)
    assert f"as {server} has it" in said
    assert second.inventory.read_bytes() == cluster.inventory.read_bytes()
    planned = second.clusterup("plan", "lab.yaml")
    assert "nothing to do: everything is as the inventory says" in planned
    # An API server that is slow for a moment says that it is not ready.
    wait_for(lambda: bool(second.status()["healthy"]), "a healthy cluster", seconds=300)
    assert second.asks("get", "nodes").returncode == 0
    assert stat.S_IMODE(second.kept.stat().st_mode) == 0o700


def test_an_apply_of_the_second_operator_leaves_the_first_nothing_to_do(cluster: Operator, second: Operator) -> None:
    second.adopt(cluster, SERVERS[0])
    second.inventory.write_bytes(second.inventory.read_bytes() + b"# Applied by the second operator.\n")
    planned = second.clusterup("plan", "lab.yaml")
    assert f"{HANDOVER} is older than the inventory" in planned
    assert f"{len(SERVERS)} actions on {len(SERVERS)} machines" in planned
    second.clusterup("apply", "lab.yaml", "--yes")
    assert "another operator may have applied since" in cluster.clusterup("plan", "lab.yaml")
    cluster.inventory.write_bytes(second.inventory.read_bytes())
    assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")


def test_servers_keep_it_for_root_alone(cluster: Operator) -> None:
    found = {name: cluster.runs_on(name, f"stat -c '%a %U' {HANDOVER}").strip() for name in SERVERS}
    assert found == dict.fromkeys(SERVERS, "600 root")
