"""A cluster is taken apart and made anew on the same machines, a server and an agent."""

from __future__ import annotations

import pytest

from bootstrap.steps.clean_commands import state_of_files
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, INSTALLED, SERVER, SERVER_AND_AGENT

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
NODES = (SERVER, AGENT)
Files = list[str]


def files_on(lab: Operator, node: str) -> Files:
    """What is on a node, but for what each boot writes anew."""
    return lab.runs_on(node, state_of_files().script).splitlines()


@pytest.fixture(scope="module")
def installed(labs: Labs) -> dict[str, Files]:
    """What was on each node after its installation, before they became the cluster."""
    lab = labs.begins(INSTALLED, __name__)
    return {node: files_on(lab, node) for node in NODES}


@pytest.fixture(scope="module")
def lab(labs: Labs, installed: dict[str, Files]) -> Operator:
    """The cluster that was made of those nodes, which each test leaves to the next."""
    return labs.begins(SERVER_AND_AGENT, __name__)


def identity(lab: Operator) -> str:
    """What no two clusters have in common."""
    return lab.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")


def test_a_node_that_is_off_is_named_and_can_be_cleaned_when_the_cluster_was_made_anew(
    lab: Operator, installed: dict[str, Files]
) -> None:
    before = identity(lab)
    lab.clusterup("lab", "stop", AGENT, "--name", lab.name)
    done = lab.runs("down", "lab.yaml", "--yes")
    assert done.returncode == 3
    assert f"{AGENT} was not reached: what is on it is still there" in done.stdout
    assert f"clusterup down lab.yaml --only {AGENT}" in done.stdout
    assert files_on(lab, SERVER) == installed[SERVER]
    assert lab.runs("apply", "lab.yaml", "--yes").returncode == 3
    assert identity(lab) != before
    lab.clusterup("lab", "up", "--name", lab.name, "--inventory", "lab.yaml")
    refused = lab.runs("apply", "lab.yaml", "--yes")
    assert refused.returncode == 4
    assert "left over from an earlier life" in refused.stderr
    lab.clusterup("down", "lab.yaml", "--only", AGENT, "--yes")
    assert files_on(lab, AGENT) == installed[AGENT]
    lab.clusterup("apply", "lab.yaml", "--yes")
    assert lab.status()["healthy"]
    assert "nothing to do" in lab.clusterup("plan", "lab.yaml")


def test_nodes_are_after_down_as_after_their_installation(lab: Operator, installed: dict[str, Files]) -> None:
    said = lab.clusterup("down", "lab.yaml", "--confirm", lab.name)
    assert "the cluster's authorities are forgotten" in said
    assert not (lab.folder / f"{lab.name}.kubeconfig").exists()
    assert {node: files_on(lab, node) for node in NODES} == installed
    assert "nothing to do" in lab.clusterup("down", "lab.yaml", "--yes")


def test_wiped_machines_are_bare_again(lab: Operator) -> None:
    lab.clusterup("down", "lab.yaml", "--wipe", "--yes")
    assert {path.name for path in lab.kept.iterdir()} == {"journal.jsonl", "lock"}
    lab.clusterup("lab", "up", "--name", lab.name, "--inventory", "lab.yaml")
    planned = lab.clusterup("plan", "lab.yaml")
    for node in NODES:
        assert f"{node}, empty" in planned
