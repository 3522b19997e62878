"""From bare machines to a cluster that works, stays as it is, and takes a node back that was off."""

from __future__ import annotations

import json
import stat
import subprocess

import pytest

from bootstrap.steps.world import World
from tests.e2e.conftest import AGENTS, NAME, NODES, SERVERS, Operator
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e


def test_before_anything_is_changed_the_plan_says_what_would_be_done_and_why(bare_lab: Operator) -> None:
    planned = bare_lab.clusterup("plan", "lab.yaml")
    assert "because it runs our live environment, not the installed micro OS" in planned
    assert "found the etcd cluster" in planned
    assert "serial lab-" in planned


def test_every_node_is_ready_and_every_server_has_a_vote(cluster: Operator) -> None:
    status = cluster.status()
    assert status["healthy"], status
    assert {node["name"]: node["state"] for node in status["nodes"]} == dict.fromkeys(NODES, "Ready")
    assert {member["name"] for member in status["etcd"] if member["voter"]} == set(SERVERS)
    assert len([member for member in status["etcd"] if member["leader"]]) == 1
    assert [server["ready"] for server in status["api"]] == [True]


def test_a_pod_on_each_node_reaches_a_pod_on_each_other_and_the_api(cluster: Operator) -> None:
    fetches = json.loads(cluster.clusterup("verify", "lab.yaml", "-o", "json"))
    nodes = {*NODES}
    assert {(row["from"], row["to"]) for row in fetches} == {(a, b) for a in nodes for b in {*nodes, "api"}}
    assert all(row["fetched"] for row in fetches)


def test_the_kubeconfig_is_the_owner_s_alone_and_verifies_the_server(cluster: Operator) -> None:
    kubeconfig = cluster.folder / f"{NAME}.kubeconfig"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert "insecure-skip-tls-verify" not in kubeconfig.read_text()
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    roles = {
        node["metadata"]["name"]: "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
        for node in nodes
    }
    assert roles == {**dict.fromkeys(SERVERS, True), **dict.fromkeys(AGENTS, False)}


def test_no_join_token_outlives_the_join(cluster: Operator) -> None:
    secrets = json.loads(cluster.kubectl("-n", "kube-system", "get", "secrets", "-o", "json"))["items"]
    assert [secret["metadata"]["name"] for secret in secrets if secret["type"] == "bootstrap.kubernetes.io/token"] == []


def test_a_second_apply_plans_nothing_and_changes_nothing(cluster: Operator) -> None:
    _, before = cluster.looks()
    said = cluster.clusterup("apply", "lab.yaml", "--yes")
    assert "nothing to do: everything is as the inventory says" in said
    _, after = cluster.looks()
    assert untouchable(after) == untouchable(before)


def untouchable(world: World) -> dict[str, object]:
    """What a second apply must leave alone: when each unit was started, every file, every boot."""
    return {
        name: (facts.boot_id, dict(facts.files), {unit: found.since for unit, found in facts.units.items()})
        for name, facts in world.nodes.items()
    }


def test_logs_of_pods_come_through_every_kubelet(cluster: Operator) -> None:
    for node in NODES:
        overrides = {"apiVersion": "v1", "spec": {"nodeName": node, "tolerations": [{"operator": "Exists"}]}}
        name = f"says-{node}"
        cluster.kubectl(
            "run", name, "--image=clusterup.local/busybox:1", "--restart=Never", f"--overrides={json.dumps(overrides)}",
            "--command", "--", "sh", "-c", f"echo here is {node}",
        )  # fmt: skip
        wait_for(lambda name=name, node=node: f"here is {node}" in logs(cluster, name), f"the log of {name}", 180)  # type: ignore[misc]
        cluster.kubectl("delete", "pod", name, "--wait=false")


def logs(cluster: Operator, pod: str) -> str:
    phase = cluster.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}")
    return cluster.kubectl("logs", pod) if phase == "Succeeded" else ""


def test_a_node_that_is_off_is_named_and_the_rest_goes_on(cluster: Operator) -> None:
    cluster.clusterup("lab", "stop", "agent-1", "--name", NAME)
    wait_for(lambda: ready_nodes(cluster) == {"server-1"}, "agent-1 to be seen as gone", 300)
    applied = cluster.runs("apply", "lab.yaml", "--yes")
    assert applied.returncode == 3
    assert "agent-1: connect: " in applied.stderr
    assert "nothing to do" in applied.stdout
    assert {node["name"]: node["state"] for node in cluster.status()["nodes"]} == {
        "server-1": "Ready",
        "agent-1": "NotReady",
    }


def ready_nodes(cluster: Operator) -> set[str]:
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    return {
        node["metadata"]["name"]
        for node in nodes
        if any(entry["type"] == "Ready" and entry["status"] == "True" for entry in node["status"]["conditions"])
    }


def test_a_node_that_comes_back_is_ready_again_without_an_apply(cluster: Operator) -> None:
    cluster.clusterup("lab", "up", "--name", NAME, "--inventory", "lab.yaml")
    wait_for(lambda: bool(cluster.status()["healthy"]), "the cluster to be healthy again", 600)
    said = cluster.clusterup("apply", "lab.yaml", "--yes")
    assert "nothing to do" in said


def test_the_operator_s_secrets_are_in_no_process_s_arguments(cluster: Operator) -> None:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "PRIVATE KEY" not in listed
    state = cluster.state / "clusterup" / "clusters" / NAME
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (state, state / "pki" / "ca.key"))
