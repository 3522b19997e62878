"""What is asked of a pod holds on every node, what it says comes through, and it is answered when it asks for names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.operator import Operator
from tests.e2e.pods import IMAGE, logs, phase_of
from tests.e2e.shapes import SERVERS
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
SUFFIX = "default.svc.cluster.local"
# By which the pod that asks is found among the processes of its node.
ASKS = "sleep 86413"
NODE = SERVERS[1]


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


def answer(cluster: Operator, name: str, kind: str = "a") -> str:
    """What a pod is answered to a name on its node, whether or not there is a way to the pod over the API."""
    pod = f"nsenter --target $(pgrep -of '{ASKS}') --mount --net"
    return cluster.runs_on(NODE, f"{pod} /bin/busybox nslookup -type={kind} {name}. 2>&1 || echo failed")


def is_answered(cluster: Operator, name: str, data: str, kind: str = "a") -> None:
    wait_for(lambda: data in answer(cluster, name, kind), f"{name} to be {data}", 300)


def api_server_of(cluster: Operator, node: str) -> str:
    """systemd's word for how it is, as in active."""
    return cluster.runs_on(node, "systemctl show --property ActiveState --value kube-apiserver").strip()


def begin(cluster: Operator, name: str, command: list[str], node: str, **more: Any) -> None:
    """A pod on a node."""
    spec = {
        "nodeName": node,
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": name, "image": IMAGE, "command": command}],
        **more,
    }
    manifest = {"apiVersion": "v1", "spec": spec, "metadata": {"labels": {"app": more.get("subdomain", name)}}}
    cluster.kubectl("run", name, f"--image={IMAGE}", "--restart=Never", f"--overrides={json.dumps(manifest)}")
    wait_for(lambda: phase_of(cluster, name) == "Running", f"{name} to run", 600)


def test_every_record_of_the_specification_is_there_and_follows_what_changes(cluster: Operator) -> None:
    begin(cluster, "asks", ASKS.split(), NODE)
    is_answered(cluster, f"kubernetes.{SUFFIX}", "Address: 10.96.0.1")
    assert "service = 0 100 443 kubernetes.default.svc" in answer(cluster, f"_https._tcp.kubernetes.{SUFFIX}", "srv")
    assert f"name = kubernetes.{SUFFIX}" in answer(cluster, "1.0.96.10.in-addr.arpa", "ptr")
    assert '"1.1.0"' in answer(cluster, "dns-version.cluster.local", "txt")
    assert "NXDOMAIN" in answer(cluster, f"nothing.{SUFFIX}")

    cluster.kubectl("create", "service", "clusterip", "db", "--clusterip=None", "--tcp=8080:8080")
    for number, node in enumerate(SERVERS[:2]):
        begin(cluster, f"db-{number}", ["sleep", "86400"], node, hostname=f"db-{number}", subdomain="db")
    for number in (0, 1):
        address = cluster.kubectl("get", "pod", f"db-{number}", "-o", "jsonpath={.status.podIP}")
        is_answered(cluster, f"db-{number}.db.{SUFFIX}", f"Address: {address}")
        is_answered(cluster, f"db.{SUFFIX}", f"Address: {address}")
        reverse = ".".join(reversed(address.split(".")))
        is_answered(cluster, f"{reverse}.in-addr.arpa", f"name = db-{number}.db.{SUFFIX}", "ptr")
    assert answer(cluster, f"_8080-8080._tcp.db.{SUFFIX}", "srv").count("service = 0 100 8080 db-") == 2
    cluster.kubectl("delete", "pod", "db-1", "--grace-period=1")
    is_answered(cluster, f"db-1.db.{SUFFIX}", "NXDOMAIN")
    assert "NXDOMAIN" not in answer(cluster, f"db.{SUFFIX}")


def test_names_are_answered_while_no_api_server_is_and_after_unbound_has_started_anew(cluster: Operator) -> None:
    for node in SERVERS:
        # It ends when those who are connected have gone, or after a minute.
        cluster.runs_on(node, "systemctl stop --no-block kube-apiserver")
    try:
        for node in SERVERS:
            wait_for(lambda node=node: api_server_of(cluster, node) == "inactive", f"{node}'s API server to end", 300)  # type: ignore[misc]
        assert "Address: 10.96.0.1" in answer(cluster, f"kubernetes.{SUFFIX}")
        cluster.runs_on(NODE, "systemctl kill --signal=KILL clusterup-dns")
        # The agent has what it knew, and tells it once more.
        is_answered(cluster, f"kubernetes.{SUFFIX}", "Address: 10.96.0.1")
        is_answered(cluster, f"db-0.db.{SUFFIX}", "Address: ")
    finally:
        for node in SERVERS:
            cluster.runs_on(node, "systemctl start --no-block kube-apiserver")


def test_the_node_itself_and_pods_of_its_network_are_answered_too(cluster: Operator) -> None:
    # The API servers were started a moment ago.
    wait_for(lambda: bool(cluster.status()["healthy"]), "the cluster to be healthy", 600)
    begin(
        cluster,
        "host",
        ["sh", "-c", f"nslookup -type=a kubernetes.{SUFFIX}. 10.96.0.10 && sleep 86400"],
        NODE,
        hostNetwork=True,
    )
    wait_for(lambda: "Address: 10.96.0.1" in cluster.kubectl("logs", "host"), "the node to be answered", 300)
