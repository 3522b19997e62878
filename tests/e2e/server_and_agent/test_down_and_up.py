"""A cluster is taken apart while a node is off, and made again on the same machines."""

from __future__ import annotations

import pytest

from tests.e2e.operator import Operator
from tests.e2e.server_and_agent.installed import Files, files_on
from tests.e2e.shapes import AGENT, SERVER

pytestmark = pytest.mark.e2e


def identity(joined: Operator) -> str:
    """What no two clusters have in common."""
    return joined.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")


def test_a_node_that_is_off_is_named_and_can_be_cleaned_when_the_cluster_was_made_again(
    joined: Operator, installed: dict[str, Files]
) -> None:
    before = identity(joined)
    joined.clusterup("lab", "stop", AGENT, "--name", joined.name)
    done = joined.runs("down", "lab.yaml", "--yes")
    assert done.returncode == 3
    assert f"{AGENT} was not reached: what is on it is still there" in done.stdout
    assert f"clusterup down lab.yaml --only {AGENT}" in done.stdout
    assert files_on(joined, SERVER) == installed[SERVER]
    assert joined.runs("apply", "lab.yaml", "--yes").returncode == 3
    assert identity(joined) != before
    joined.clusterup("lab", "up", "--name", joined.name, "--inventory", "lab.yaml")
    refused = joined.runs("apply", "lab.yaml", "--yes")
    assert refused.returncode == 4
    assert "left over from an earlier life" in refused.stderr
    joined.clusterup("down", "lab.yaml", "--only", AGENT, "--yes")
    assert files_on(joined, AGENT) == installed[AGENT]
    joined.clusterup("apply", "lab.yaml", "--yes")
    assert joined.status()["healthy"]
    assert "nothing to do" in joined.clusterup("plan", "lab.yaml")
