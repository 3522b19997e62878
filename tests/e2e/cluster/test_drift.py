"""What differs from the inventory is planned, and fixed with the restarts that it needs and no others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.cluster.fixing import fix
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
ONE, TWO, THREE = SERVERS


@pytest.fixture
def edit(cluster: Operator) -> Iterator[Callable[[Callable[[dict[str, Any]], None]], None]]:
    """Changes the inventory; afterwards it is as before, and so is the cluster."""
    original = cluster.inventory.read_bytes()
    yield cluster.edits
    cluster.inventory.write_bytes(original)
    cluster.clusterup("apply", "lab.yaml", "--yes")


def test_labels_and_taints_come_and_go_without_a_restart(
    cluster: Operator, edit: Callable[[Callable[[dict[str, Any]], None]], None]
) -> None:
    def first(content: dict[str, Any]) -> None:
        content["nodes"][0]["labels"] = {"disk": "ssd", "rack": "r1"}
        content["nodes"][0]["taints"] = [{"key": "lab", "value": "yes", "effect": "PreferNoSchedule"}]

    edit(first)
    fixed = fix(cluster)
    assert set(fixed.done) == {f"{ONE}/files", f"{ONE}/node"}
    assert fixed.restarted == frozenset()
    node = json.loads(cluster.kubectl("get", "node", ONE, "-o", "json"))
    assert (node["metadata"]["labels"]["disk"], node["metadata"]["labels"]["rack"]) == ("ssd", "r1")
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["lab"]

    cluster.kubectl("label", "node", ONE, "theirs=1", "rack=r9", "--overwrite")

    def second(content: dict[str, Any]) -> None:
        content["nodes"][0]["labels"] = {"rack": "r1"}
        del content["nodes"][0]["taints"]

    edit(second)
    fixed = fix(cluster)
    assert set(fixed.done) == {f"{ONE}/files", f"{ONE}/node"}
    assert fixed.restarted == frozenset()
    node = json.loads(cluster.kubectl("get", "node", ONE, "-o", "json"))
    assert "disk" not in node["metadata"]["labels"]
    assert (node["metadata"]["labels"]["rack"], node["metadata"]["labels"]["theirs"]) == ("r1", "1")
    assert node["spec"].get("taints", []) == []


def test_a_dry_run_leaves_every_file_of_a_node_as_it_is(
    cluster: Operator, edit: Callable[[Callable[[dict[str, Any]], None]], None]
) -> None:
    edit(lambda content: content["nodes"][0].update(labels={"disk": "ssd"}))
    # A node writes the names of its DNS down by itself, at any time.
    own = "-path /var/lib/clusterup/dns -prune"
    folders = "/etc /var/lib/clusterup /var/lib/extensions /var/lib/kubelet/pki"

    def files_of(name: str) -> set[str]:
        return set(cluster.runs_on(name, f"find {folders} {own} -o -type f -exec sha256sum {{}} +").splitlines())

    before = {name: files_of(name) for name in SERVERS}
    assert all(len(files) > 1 for files in before.values())
    said = cluster.runs("apply", "lab.yaml", "--yes", "--dry-run")
    assert "give its Node the labels and taints of the inventory" in said.stdout
    assert {name: files_of(name) ^ before[name] for name in SERVERS} == {name: set() for name in SERVERS}
    assert "disk" not in json.loads(cluster.kubectl("get", "node", ONE, "-o", "json"))["metadata"]["labels"]


def test_an_argument_restarts_its_own_unit_on_one_server_after_the_other(
    cluster: Operator, edit: Callable[[Callable[[dict[str, Any]], None]], None]
) -> None:
    edit(lambda content: content["kubernetes"]["scheduler_args"].update({"v": "1"}))
    fixed = fix(cluster)
    assert fixed.restarted == {f"{name}/kube-scheduler.service" for name in SERVERS}
    spans = [event for event in fixed.events if str(event.get("id")).endswith("/control-plane")]
    turns = [(event["event"], event["node"]) for event in spans if event["event"] in ("ActionStarted", "ActionDone")]
    assert turns == [(event, name) for name in SERVERS for event in ("ActionStarted", "ActionDone")]


def test_an_edited_file_is_put_back_and_restarts_what_had_read_it(cluster: Operator) -> None:
    edited = "echo '# edited' >>/etc/clusterup/haproxy.cfg"
    cluster.runs_on(THREE, edited)
    fixed = fix(cluster)
    assert (fixed.done, fixed.restarted) == ((f"{THREE}/files",), frozenset())

    cluster.runs_on(THREE, f"{edited}; systemctl restart clusterup-balancer")
    fixed = fix(cluster)
    assert fixed.done == (f"{THREE}/files", f"{THREE}/runtime")
    assert fixed.restarted == {f"{THREE}/clusterup-balancer.service"}
