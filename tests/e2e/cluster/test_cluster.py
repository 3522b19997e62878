"""A cluster of three servers works, and stays as it is."""

from __future__ import annotations

import json
import stat

import pytest

from bootstrap.facts.model import ClusterFacts
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS, THREE_SERVERS

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]


@pytest.fixture(scope="module")
def cluster(labs: Labs) -> Operator:
    """Three servers, as `cluster/forming` left them."""
    return labs.begins(THREE_SERVERS, __name__)


def test_a_pod_on_each_node_reaches_a_pod_on_each_other_and_the_api(cluster: Operator) -> None:
    fetches = json.loads(cluster.clusterup("verify", "lab.yaml", "--timeout", "900", "-o", "json"))
    nodes = {*SERVERS}
    assert {(row["from"], row["to"]) for row in fetches} == {(a, b) for a in nodes for b in {*nodes, "api"}}
    assert all(row["fetched"] for row in fetches)


def test_the_kubeconfig_is_the_owner_s_alone_and_verifies_the_server(cluster: Operator) -> None:
    kubeconfig = cluster.folder / f"{cluster.name}.kubeconfig"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert "insecure-skip-tls-verify" not in kubeconfig.read_text()
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    roles = {
        node["metadata"]["name"]: "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
        for node in nodes
    }
    assert roles == dict.fromkeys(SERVERS, True)


def test_who_logs_in_comes_before_all_else_that_wants_the_processor(cluster: Operator) -> None:
    weights = "/sys/fs/cgroup/system.slice/{ssh,kubelet}.service/cpu.weight"
    for name in SERVERS:
        assert cluster.runs_on(name, f"bash -c 'cat {weights}'").split() == ["1000", "100"]


def test_no_join_token_outlives_the_join(cluster: Operator) -> None:
    secrets = json.loads(cluster.kubectl("-n", "kube-system", "get", "secrets", "-o", "json"))["items"]
    assert [secret["metadata"]["name"] for secret in secrets if secret["type"] == "bootstrap.kubernetes.io/token"] == []


def test_a_second_apply_plans_nothing_and_changes_nothing(cluster: Operator) -> None:
    _, before = cluster.looks()
    said = cluster.clusterup("apply", "lab.yaml", "--yes")
    assert "nothing to do: everything is as the inventory says" in said
    _, after = cluster.looks()
    assert untouchable(after) == untouchable(before)


def untouchable(world: ClusterFacts) -> dict[str, object]:
    """What a second apply must leave alone: when each unit was started, every file, every boot."""
    return {
        name: (facts.boot_id, dict(facts.files), {unit: found.since for unit, found in facts.units.items()})
        for name, facts in world.nodes.items()
    }


def test_a_node_s_services_and_a_shell_on_it_are_reached_by_the_way_of_an_apply(cluster: Operator) -> None:
    lines = cluster.clusterup("logs", "server-1", "kubelet", "-n", "3", "-i", "lab.yaml").splitlines()
    assert len(lines) == 3
    assert all("kubelet" in line for line in lines)
    refused = cluster.runs("logs", "server-1", "kublet", "-i", "lab.yaml")
    assert refused.returncode == 4
    assert "there is no unit kublet" in refused.stderr
    assert cluster.clusterup("ssh", "server-2", "hostname", "-i", "lab.yaml") == "server-2\n"
