"""With one server of three off the cluster works on, and takes it back."""

from __future__ import annotations

import json

import pytest

from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.pods import IMAGE, phase_of
from tests.e2e.shapes import SERVERS, THREE_SERVERS
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def cluster(labs: Labs) -> Operator:
    """Three servers, which each test leaves to the next."""
    return labs.begins(THREE_SERVERS, __name__)


def test_with_the_leader_of_the_quorum_off_kubectl_answers_and_a_new_pod_runs(cluster: Operator) -> None:
    gone = leader(cluster)
    cluster.clusterup("lab", "stop", gone, "--name", cluster.name)
    wait_for(lambda: cluster.asks("get", "nodes").returncode == 0, "an answer to kubectl", 300)
    wait_for(lambda: ready_nodes(cluster) == {*SERVERS} - {gone}, f"{gone} to be seen as gone", 600)
    # The taint comes after the condition, and until then the node may be given the new pod.
    wait_for(lambda: takes_no_pods(cluster, gone), f"{gone} to get no pods", 300)
    command = ("run", "new", f"--image={IMAGE}", "--restart=Never", "--command", "--", "sleep", "3600")
    wait_for(lambda: cluster.asks(*command).returncode == 0 or there(cluster, "new"), "a new pod to be taken", 300)
    try:
        wait_for(lambda: phase_of(cluster, "new") == "Running", "the new pod to run", 600)
    finally:
        cluster.asks("describe", "pod", "new")
    assert cluster.kubectl("get", "pod", "new", "-o", "jsonpath={.spec.nodeName}") != gone


def test_a_node_that_is_off_is_named_and_the_rest_goes_on(cluster: Operator) -> None:
    (gone,) = [name for name in SERVERS if name not in running_machines(cluster)]
    wait_for(lambda: ready_nodes(cluster) == {*SERVERS} - {gone}, f"{gone} to be seen as gone", 600)
    applied = cluster.runs("apply", "lab.yaml", "--yes")
    assert applied.returncode == 3
    assert f"{gone}: connect: " in applied.stderr
    assert "nothing to do" in applied.stdout
    assert cluster.states() == {**dict.fromkeys(SERVERS, "Ready"), gone: "NotReady"}


def test_a_node_that_comes_back_is_ready_again_without_an_apply(cluster: Operator) -> None:
    cluster.clusterup("lab", "up", "--name", cluster.name, "--inventory", "lab.yaml")
    wait_for(lambda: ready_nodes(cluster) == {*SERVERS}, "every node to be Ready again", 900)
    wait_for(lambda: bool(cluster.status()["healthy"]), "the cluster to be healthy again", 900)
    said = cluster.clusterup("apply", "lab.yaml", "--yes")
    assert "nothing to do" in said
    # Nothing starts it elsewhere: the node that has it would not be let go.
    cluster.kubectl("delete", "pod", "new", "--wait=false")


def leader(cluster: Operator) -> str:
    (name,) = [member["name"] for member in cluster.status()["etcd"] if member["leader"]]
    return str(name)


def running_machines(cluster: Operator) -> set[str]:
    machines = json.loads(cluster.clusterup("lab", "status", "--name", cluster.name, "-o", "json"))["machines"]
    return {machine["name"] for machine in machines if machine["running"]}


def there(cluster: Operator, pod: str) -> bool:
    return cluster.asks("get", "pod", pod).returncode == 0


def takes_no_pods(cluster: Operator, node: str) -> bool:
    asked = cluster.asks("get", "node", node, "-o", "json")
    taints = json.loads(asked.stdout)["spec"].get("taints", []) if asked.returncode == 0 else []
    return any(taint["effect"] == "NoSchedule" for taint in taints)


def ready_nodes(cluster: Operator) -> set[str]:
    return {name for name, ready in cluster.readiness().items() if ready == "True"}
