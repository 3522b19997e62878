"""An agent leaves a cluster, and comes back when its operator writes it into the inventory again."""

from __future__ import annotations

import json

import pytest
import yaml

from bootstrap.constants.objects import CONTROL_PLANE
from bootstrap.constants.paths import HANDOVER, KUBELET_CERTIFICATE
from tests.e2e.by_token import entry
from tests.e2e.joining.coming_back import comes_back
from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, SERVER

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]


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
    assert grown.runs_on(AGENT, f"[ -s {KUBELET_CERTIFICATE} ] && echo yes").strip() == "yes"
