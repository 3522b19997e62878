"""What is asked of a pod holds on every node, and what it says comes through."""

from __future__ import annotations

import json

import pytest

from tests.e2e.operator import Operator
from tests.e2e.pods import IMAGE, logs, phase_of
from tests.e2e.shapes import SERVERS
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e


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
