"""A cluster is taken apart and made anew on the same machines, a server and an agent."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from bootstrap.steps.clean_commands import state_of_files
from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, SERVER

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
NODES = (SERVER, AGENT)


def states(lab: Operator) -> dict[str, list[str]]:
    """What is on each node, but for what each boot writes anew."""
    return {node: lab.runs_on(node, state_of_files().script).splitlines() for node in NODES}


def install_alone(lab: Operator) -> None:
    """An apply that is interrupted when the last machine is about to start its installed system, so that it ends there:
    one thing at a time, installing comes first."""
    with lab.begins("apply", "lab.yaml", "--yes", "--parallel", "1", "-o", "json") as process:
        assert process.stdout is not None
        begun = set()
        for line in process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "ActionStarted" and event["step"] == "boot":
                begun.add(event["node"])
                if begun == set(NODES):
                    process.send_signal(signal.SIGINT)
        assert process.wait() == 130


@pytest.fixture(scope="module")
def installed(lab: Operator) -> Iterator[dict[str, list[str]]]:
    """What is on each node after its installation; then they become a cluster."""
    install_alone(lab)
    found = states(lab)
    lab.clusterup("apply", "lab.yaml", "--yes")
    yield found


def test_nodes_are_after_down_as_after_their_installation_and_become_a_cluster_again(
    lab: Operator, installed: dict[str, list[str]]
) -> None:
    before = lab.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    said = lab.clusterup("down", "lab.yaml", "--confirm", lab.name)
    assert "the cluster's authorities are forgotten" in said
    assert not (lab.folder / f"{lab.name}.kubeconfig").exists()
    for node, found in states(lab).items():
        assert found == installed[node]
    assert "nothing to do" in lab.clusterup("down", "lab.yaml", "--yes")
    lab.clusterup("apply", "lab.yaml", "--yes")
    assert lab.status()["healthy"]
    assert lab.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}") != before


def test_a_node_that_is_off_is_named_and_can_be_cleaned_when_the_cluster_was_made_anew(
    lab: Operator, installed: dict[str, list[str]]
) -> None:
    lab.clusterup("lab", "stop", AGENT, "--name", lab.name)
    done = lab.runs("down", "lab.yaml", "--yes")
    assert done.returncode == 3
    assert f"{AGENT} was not reached: what is on it is still there" in done.stdout
    assert f"clusterup down lab.yaml --only {AGENT}" in done.stdout
    assert lab.runs("apply", "lab.yaml", "--yes").returncode == 3
    lab.clusterup("lab", "up", "--name", lab.name, "--inventory", "lab.yaml")
    refused = lab.runs("apply", "lab.yaml", "--yes")
    assert refused.returncode == 4
    assert "left over from an earlier life" in refused.stderr
    lab.clusterup("down", "lab.yaml", "--only", AGENT, "--yes")
    lab.clusterup("apply", "lab.yaml", "--yes")
    assert lab.status()["healthy"]
    assert "nothing to do" in lab.clusterup("plan", "lab.yaml")


def test_wiped_machines_are_bare_again(lab: Operator, installed: dict[str, list[str]]) -> None:
    lab.clusterup("down", "lab.yaml", "--wipe", "--yes")
    assert {path.name for path in lab.kept.iterdir()} == {"journal.jsonl", "lock"}
    lab.clusterup("lab", "up", "--name", lab.name, "--inventory", "lab.yaml")
    planned = lab.clusterup("plan", "lab.yaml")
    for node in NODES:
        assert f"{node}, empty" in planned
