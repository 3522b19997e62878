"""An agent leaves a cluster, and comes back when its operator writes it into the inventory again."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from bootstrap.inventory.model import CONTROL_PLANE
from bootstrap.steps.handover_file import HANDOVER
from bootstrap.steps.node_units import CLIENT_CERTIFICATE
from tests.e2e.by_token import entry
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, SERVER, SERVER_AND_AGENT
from tests.helpers.daemons import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
MINUTES = 60.0


@pytest.fixture(scope="module")
def grown(labs: Labs) -> Operator:
    """A server and an agent, which each test leaves to the next."""
    return labs.begins(SERVER_AND_AGENT, __name__)


def comes_back(grown: Operator, node: dict[str, Any]) -> list[str]:
    """Write the node into the inventory again and apply; the ids of what was done."""
    grown.edits(lambda content: content["nodes"].append(node))
    said = grown.clusterup("apply", "lab.yaml", "--yes", "-o", "json")
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [event["id"] for event in events if event["event"] == "ActionDone"]


def taints(grown: Operator, node: str) -> list[str]:
    """What keeps pods away from a node, whether or not it is well, as in "KEY:EFFECT"."""
    found = json.loads(grown.kubectl("get", "node", node, "-o", "json"))["spec"].get("taints", [])
    return [f"{each['key']}:{each['effect']}" for each in found if not each["key"].startswith("node.kubernetes.io/")]


def test_pods_go_to_the_agent_and_the_server_takes_none(grown: Operator) -> None:
    assert grown.states() == {SERVER: "Ready", AGENT: "Ready"}
    assert taints(grown, SERVER) == [f"{CONTROL_PLANE}:NoSchedule"]
    assert taints(grown, AGENT) == []
    assert "nothing to do" in grown.clusterup("plan", "lab.yaml")


def test_what_hands_the_cluster_over_is_on_the_server_alone(grown: Operator) -> None:
    look = f"[ ! -e {HANDOVER} ] || stat -c '%a %U' {HANDOVER}"
    assert {node: grown.runs_on(node, look).strip() for node in (SERVER, AGENT)} == {SERVER: "600 root", AGENT: ""}


def test_an_agent_is_cleaned_and_joins_again_without_being_installed(grown: Operator) -> None:
    was, before = entry(grown, AGENT), grown.inventory.read_text()
    (grown.folder / "machines.yaml").write_text(before)
    grown.clusterup("remove", AGENT, "lab.yaml", "--yes")
    assert AGENT not in grown.kubectl("get", "nodes", "-o", "name")
    assert taints(grown, SERVER) == []
    assert AGENT not in [node["name"] for node in yaml.safe_load(grown.inventory.read_bytes())["nodes"]]
    assert set(grown.inventory.read_text().splitlines()) < set(before.splitlines())
    assert "nothing to do" in grown.clusterup("plan", "lab.yaml", "--prune")
    assert "has left the cluster" in grown.clusterup("remove", AGENT, "lab.yaml", "--yes")

    done = comes_back(grown, was)
    assert not [name for name in done if "/install." in name]
    assert grown.states()[AGENT] == "Ready"
    assert taints(grown, SERVER) == [f"{CONTROL_PLANE}:NoSchedule"]
    assert grown.runs_on(AGENT, f"[ -s {CLIENT_CERTIFICATE} ] && echo yes").strip() == "yes"


def test_pods_whose_budget_holds_them_up_are_named_and_the_node_goes_on_leaving_later(grown: Operator) -> None:
    (grown.folder / "held.yaml").write_text(HELD)
    grown.kubectl("apply", "-f", "held.yaml")
    phases = ("get", "pods", "-l", "app=held", "-o", "jsonpath={.items[*].status.phase}")
    wait_for(lambda: grown.kubectl(*phases) == "Running", "the pod to run", seconds=10 * MINUTES)
    where = grown.kubectl("get", "pods", "-l", "app=held", "-o", "jsonpath={.items[*].spec.nodeName}")
    assert where == AGENT
    held = grown.runs("remove", AGENT, "lab.yaml", "--yes", "--drain-timeout", "30s")
    assert held.returncode == 3
    assert "default/held-" in held.stdout + held.stderr
    assert "The disruption budget held needs 1 healthy pods" in held.stdout + held.stderr
    leaving = next(node for node in grown.status()["nodes"] if node["name"] == AGENT)
    assert leaving["note"].startswith("leaving since ")
    grown.kubectl("delete", "-f", "held.yaml")
    # An emulated kubelet may take longer to end it than the half a minute that its node was given.
    wait_for(lambda: grown.kubectl(*phases) == "", "the pod to go", seconds=10 * MINUTES)
    grown.clusterup("apply", "lab.yaml", "--prune", "--yes")
    assert AGENT not in grown.kubectl("get", "nodes", "-o", "name")


def test_an_agent_that_leaves_for_good_has_an_empty_disk_and_is_installed_where_it_comes_back(grown: Operator) -> None:
    whole = yaml.safe_load((grown.folder / "machines.yaml").read_bytes())["nodes"]
    comes_back(grown, next(node for node in whole if node["name"] == AGENT))
    assert grown.states()[AGENT] == "Ready"
    was = entry(grown, AGENT)
    grown.clusterup("remove", AGENT, "lab.yaml", "--wipe", "--yes")
    grown.clusterup("lab", "up", "--name", grown.name, "--inventory", "machines.yaml")
    done = comes_back(grown, was)
    assert f"{AGENT}/install.image" in done
    assert grown.states() == {SERVER: "Ready", AGENT: "Ready"}


HELD = """\
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata: {name: held, namespace: default}
spec: {minAvailable: 1, selector: {matchLabels: {app: held}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: held, namespace: default}
spec:
  replicas: 1
  selector: {matchLabels: {app: held}}
  template:
    metadata: {labels: {app: held}}
    spec:
      nodeSelector: {kubernetes.io/hostname: agent-1}
      terminationGracePeriodSeconds: 1
      containers: [{name: pause, image: "clusterup.local/pause:1", imagePullPolicy: Never}]
"""
