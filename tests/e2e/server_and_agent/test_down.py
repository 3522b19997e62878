"""A cluster is taken apart: a server and an agent are as after their installation, or bare."""

from __future__ import annotations

import pytest

from tests.e2e.operator import Operator
from tests.e2e.server_and_agent.installed import Files, files_on
from tests.e2e.shapes import AGENT, SERVER

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
NODES = (SERVER, AGENT)


def test_nodes_are_after_down_as_after_their_installation(joined: Operator, installed: dict[str, Files]) -> None:
    said = joined.clusterup("down", "lab.yaml", "--confirm", joined.name)
    assert "the cluster's authorities are forgotten" in said
    assert not (joined.folder / f"{joined.name}.kubeconfig").exists()
    assert {node: files_on(joined, node) for node in NODES} == installed
    assert "nothing to do" in joined.clusterup("down", "lab.yaml", "--yes")


def test_the_machines_of_a_cluster_that_is_wiped_are_bare_again(server_and_agent: Operator) -> None:
    lab = server_and_agent
    lab.clusterup("down", "lab.yaml", "--wipe", "--yes")
    assert {path.name for path in lab.kept.iterdir()} == {"journal.jsonl", "lock"}
    lab.clusterup("lab", "up", "--name", lab.name, "--inventory", "lab.yaml")
    planned = lab.clusterup("plan", "lab.yaml")
    for node in NODES:
        assert f"{node}, empty" in planned
