"""From bare machines to a cluster that works, stays as it is, and takes a node back that was off."""

from __future__ import annotations

import json
import stat
import subprocess

import pytest

from bootstrap.lab.drives import kind_of
from bootstrap.steps.world import World
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import APPLIED, PLAN, SERVERS, THREE_BARE, THREE_SERVERS
from tests.helpers.daemons import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
IMAGE = "clusterup.local/busybox:1"


@pytest.fixture(scope="module")
def bare_lab(labs: Labs) -> Operator:
    """Machines with empty disks that run the live environment."""
    return labs.begins(THREE_BARE, __name__)


@pytest.fixture(scope="module")
def cluster(labs: Labs, bare_lab: Operator) -> Operator:
    """What `clusterup apply` makes of them, in each run of these tests; all others find it put aside."""
    labs.grows(THREE_SERVERS)
    return bare_lab


def test_before_anything_is_changed_the_plan_says_what_would_be_done_and_why(bare_lab: Operator) -> None:
    planned = bare_lab.clusterup("plan", "lab.yaml")
    assert "because it runs our live environment, not the installed micro OS" in planned
    assert "found the etcd cluster" in planned
    assert "serial lab-" in planned


def test_a_dry_run_leaves_bare_disks_as_they_are(bare_lab: Operator) -> None:
    before = disks(bare_lab)
    said = bare_lab.runs("apply", "lab.yaml", "--yes", "--dry-run")
    assert said.returncode == 0
    assert "nothing was done: this was a dry run" in said.stderr
    assert disks(bare_lab) == before
    assert len(before) == len(SERVERS)


def disks(operator: Operator) -> dict[str, tuple[int, int]]:
    """When each machine's disk was written to last, and how much of it is in use: they are empty, and large."""
    folder = operator.state / "clusterup" / "labs" / operator.name
    found = {name: (folder / name / f"disk.{kind_of(folder / name, 'disk')}").stat() for name in SERVERS}
    return {name: (disk.st_mtime_ns, disk.st_blocks) for name, disk in found.items()}


def test_what_was_done_is_what_the_saved_plan_said(cluster: Operator) -> None:
    planned = [action["id"] for action in json.loads((cluster.folder / PLAN).read_text())["actions"]]
    events = [json.loads(line) for line in (cluster.folder / APPLIED).read_text().splitlines() if line[0] == "{"]
    assert sorted(event["id"] for event in events if event["event"] == "ActionDone") == sorted(planned)
    assert [event for event in events if event["event"] in ("ActionFailed", "ActionSkipped")] == []


def test_every_node_is_ready_and_every_server_has_a_vote(cluster: Operator) -> None:
    wait_for(lambda: bool(cluster.status()["healthy"]), "the cluster to be healthy", 600)
    status = cluster.status()
    assert {node["name"]: node["state"] for node in status["nodes"]} == dict.fromkeys(SERVERS, "Ready")
    assert {member["name"] for member in status["etcd"] if member["voter"]} == set(SERVERS)
    assert len([member for member in status["etcd"] if member["leader"]]) == 1
    assert [server["ready"] for server in status["api"]] == [True for _ in SERVERS]


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


def untouchable(world: World) -> dict[str, object]:
    """What a second apply must leave alone: when each unit was started, every file, every boot."""
    return {
        name: (facts.boot_id, dict(facts.files), {unit: found.since for unit, found in facts.units.items()})
        for name, facts in world.nodes.items()
    }


def test_logs_of_pods_come_through_every_kubelet(cluster: Operator) -> None:
    for node in SERVERS:
        overrides = {"apiVersion": "v1", "spec": {"nodeName": node, "tolerations": [{"operator": "Exists"}]}}
        name = f"says-{node}"
        cluster.kubectl(
            "run", name, f"--image={IMAGE}", "--restart=Never", f"--overrides={json.dumps(overrides)}",
            "--command", "--", "sh", "-c", f"echo here is {node}",
        )  # fmt: skip
        wait_for(lambda name=name, node=node: f"here is {node}" in logs(cluster, name), f"the log of {name}", 600)  # type: ignore[misc]
        cluster.kubectl("delete", "pod", name, "--wait=false")


def logs(cluster: Operator, pod: str) -> str:
    phase = cluster.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}")
    return cluster.kubectl("logs", pod) if phase == "Succeeded" else ""


def test_a_pod_s_limits_hold_where_its_processes_are_and_its_groups_go_with_it(cluster: Operator) -> None:
    name, node = "limited", SERVERS[0]
    container = {
        "name": name,
        "image": IMAGE,
        "command": ["sleep", "3600"],
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
    }
    spec = {"nodeName": node, "tolerations": [{"operator": "Exists"}], "containers": [container]}
    overrides = json.dumps({"apiVersion": "v1", "spec": spec})
    cluster.kubectl("run", name, f"--image={IMAGE}", "--restart=Never", f"--overrides={overrides}")
    wait_for(lambda: phase_of(cluster, name) == "Running", f"{name} to run", 600)
    uid = cluster.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}").replace("-", "_")
    group = f"/sys/fs/cgroup/kubepods.slice/kubepods-pod{uid}.slice"
    reads = f"cat {group}/cpu.max {group}/memory.max"
    limits = ["50000", "100000", str(64 << 20)]
    assert cluster.runs_on(node, reads).split() == limits
    # It undoes what systemd was not told of.
    assert cluster.runs_on(node, f"systemctl daemon-reload && {reads}").split() == limits
    cluster.kubectl("delete", "pod", name, "--wait=false")
    groups = f"find /sys/fs/cgroup -name kubepods -o -name '*{uid}*'"
    wait_for(lambda: cluster.runs_on(node, groups) == "", f"the groups of {name} to go", 600)


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


def phase_of(cluster: Operator, pod: str) -> str:
    return cluster.asks("get", "pod", pod, "-o", "jsonpath={.status.phase}").stdout


def ready_nodes(cluster: Operator) -> set[str]:
    return {name for name, ready in cluster.readiness().items() if ready == "True"}


def test_the_operator_s_secrets_are_in_no_process_s_arguments(cluster: Operator) -> None:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "PRIVATE KEY" not in listed
    state = cluster.state / "clusterup" / "clusters" / cluster.name
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (state, state / "pki" / "ca.key"))
