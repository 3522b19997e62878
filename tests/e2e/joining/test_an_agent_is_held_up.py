"""An agent whose pods can't go leaves later, and one that leaves for good leaves an empty disk."""

from __future__ import annotations

import pytest
import yaml

from tests.e2e.by_token import entry
from tests.e2e.joining.coming_back import comes_back
from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, SERVER
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
MINUTES = 60.0


def test_pods_whose_budget_holds_them_up_are_named_and_the_node_goes_on_leaving_later(grown: Operator) -> None:
    (grown.folder / "machines.yaml").write_text(grown.inventory.read_text())
    served = grown.kubectl("api-versions").split()
    # Kubernetes 1.21 brought the newer one, and 1.25 took the older one away.
    budgets = "policy/v1" if "policy/v1" in served else "policy/v1beta1"
    (grown.folder / "held.yaml").write_text(HELD.replace("POLICY", budgets))
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
apiVersion: POLICY
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
