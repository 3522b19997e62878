"""An agent, a server and a dead server leave a cluster, and come back under their names.

Not part of every run until it was seen to its end on machines: `scripts/test tests/e2e/later_leaving.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from bootstrap.steps.node_units import CLIENT_CERTIFICATE
from tests.e2e.conftest import Operator, machines
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
NAME = "leaving"
SERVERS = ("server-1", "server-2", "server-3")
AGENT, DEAD = "agent-1", "server-3"
MINUTES = 60.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Three servers and an agent, Ready. On the way from three servers to two the inventory has to allow that."""
    folder = tmp_path_factory.mktemp("leaving")
    operator = Operator(folder, folder / "state", NAME)
    with machines(operator, "--servers", "3", "--agents", "1"):
        operator.edits(lambda content: content["cluster"].update(allow_even_servers=True))
        operator.clusterup("apply", "lab.yaml", "--yes")
        yield operator


def entry(lab: Operator, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        node for node in yaml.safe_load(lab.inventory.read_bytes())["nodes"] if node["name"] == name
    )
    return found


def comes_back(lab: Operator, node: dict[str, Any]) -> list[str]:
    """Write the node into the inventory again and apply; the ids of what was done."""
    lab.edits(lambda content: content["nodes"].append(node))
    said = lab.clusterup("apply", "lab.yaml", "--yes", "-o", "json")
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [event["id"] for event in events if event["event"] == "ActionDone"]


def states(lab: Operator) -> dict[str, str]:
    return {node["name"]: node["state"] for node in lab.status()["nodes"]}


def voters(lab: Operator) -> set[str]:
    """The voters, all of which answer; a learner or a member that does not would be an error."""
    members = lab.status()["etcd"]
    assert all(member["voter"] and member["lag"] is not None for member in members), members
    return {member["name"] for member in members}


def balancers(lab: Operator) -> list[str]:
    nodes = yaml.safe_load(lab.inventory.read_bytes())["nodes"]
    return [lab.runs_on(node["name"], "cat /etc/clusterup/haproxy.cfg") for node in nodes]


def test_an_agent_is_cleaned_and_joins_again_without_being_installed(lab: Operator) -> None:
    was, before = entry(lab, AGENT), lab.inventory.read_text()
    lab.clusterup("remove", AGENT, "lab.yaml", "--yes")
    assert AGENT not in lab.kubectl("get", "nodes", "-o", "name")
    assert AGENT not in [node["name"] for node in yaml.safe_load(lab.inventory.read_bytes())["nodes"]]
    assert set(lab.inventory.read_text().splitlines()) < set(before.splitlines())
    assert "nothing to do" in lab.clusterup("plan", "lab.yaml", "--prune")
    assert "has left the cluster" in lab.clusterup("remove", AGENT, "lab.yaml", "--yes")

    done = comes_back(lab, was)
    assert not [name for name in done if "/install." in name]
    assert states(lab)[AGENT] == "Ready"
    assert lab.runs_on(AGENT, f"[ -s {CLIENT_CERTIFICATE} ] && echo yes").strip() == "yes"


def test_a_server_leaves_the_quorum_and_no_node_s_balancer_names_it(lab: Operator) -> None:
    was = entry(lab, DEAD)
    planned = lab.runs("remove", DEAD, "lab.yaml")
    assert planned.returncode == 4
    assert f"without {DEAD}: 2 members, 2 needed, 2 answer" in planned.stdout
    lab.clusterup("remove", DEAD, "lab.yaml", "--yes")
    assert voters(lab) == {"server-1", "server-2"}
    assert not [text for text in balancers(lab) if DEAD in text]
    assert "nothing to do" in lab.clusterup("plan", "lab.yaml", "--prune")

    comes_back(lab, was)
    assert voters(lab) == set(SERVERS)
    assert states(lab)[DEAD] == "Ready"


def test_a_dead_server_leaves_and_a_new_machine_of_its_name_is_the_third_voter(lab: Operator) -> None:
    was = entry(lab, DEAD)
    lab.clusterup("lab", "stop", DEAD, "--name", lab.name)
    wait_for(lambda: states(lab)[DEAD] == "NotReady", f"{DEAD}'s Node to be NotReady", seconds=10 * MINUTES)
    # The quorum is two of three now: a second one may not leave.
    refused = lab.runs("remove", "server-2", "lab.yaml", "--yes")
    assert refused.returncode == 4
    assert "without server-2: 2 members, 2 needed, 1 answers" in refused.stderr
    lab.clusterup("remove", DEAD, "lab.yaml", "--yes")
    assert voters(lab) == {"server-1", "server-2"}
    assert DEAD not in lab.kubectl("get", "nodes", "-o", "name")

    disk = lab.state / "clusterup" / "labs" / lab.name / DEAD / "disk.raw"
    size = disk.stat().st_size
    with disk.open("wb") as bare:
        bare.truncate(size)
    lab.clusterup("lab", "up", "--name", lab.name, "--inventory", "whole.yaml")
    done = comes_back(lab, was)
    assert f"{DEAD}/install.image" in done
    assert voters(lab) == set(SERVERS)
    assert states(lab) == dict.fromkeys((*SERVERS, AGENT), "Ready")
    assert "nothing to do" in lab.clusterup("plan", "lab.yaml", "--prune")


def test_pods_whose_budget_holds_them_up_are_named_and_the_node_goes_on_leaving_later(lab: Operator) -> None:
    (lab.folder / "held.yaml").write_text(HELD)
    lab.kubectl("apply", "-f", "held.yaml")
    running = ("get", "pods", "-l", "app=held", "-o", "jsonpath={.items[*].status.phase}")
    wait_for(lambda: lab.kubectl(*running) == "Running", "the pod to run", seconds=10 * MINUTES)
    where = lab.kubectl("get", "pods", "-l", "app=held", "-o", "jsonpath={.items[*].spec.nodeName}")
    assert where == AGENT
    held = lab.runs("remove", AGENT, "lab.yaml", "--yes", "--drain-timeout", "30s")
    assert held.returncode == 3
    assert "default/held-" in held.stdout + held.stderr
    assert "The disruption budget held needs 1 healthy pods" in held.stdout + held.stderr
    leaving = next(node for node in lab.status()["nodes"] if node["name"] == AGENT)
    assert leaving["note"].startswith("leaving since ")
    lab.kubectl("delete", "-f", "held.yaml")
    lab.clusterup("apply", "lab.yaml", "--prune")
    assert AGENT not in lab.kubectl("get", "nodes", "-o", "name")


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
