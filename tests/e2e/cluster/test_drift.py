"""What differs from the inventory is planned, and mended with the restarts that it needs and no others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bootstrap.cli.common import connections_of, intent_of_file
from bootstrap.engine.events import nobody
from bootstrap.pki.x509 import Usage, issue
from bootstrap.steps.etcd_client import NotSettled
from bootstrap.steps.etcd_units import DATA
from bootstrap.steps.ways import etcd_at
from bootstrap.steps.world import World
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS
from tests.helpers.daemons import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
ONE, TWO, THREE = SERVERS


@dataclass(frozen=True)
class Mended:
    """What was planned and done (ids without those of the handover), in the order of the ends, with the events, and the
    units that were restarted for it, as in "server-1/etcd.service"."""

    done: tuple[str, ...]
    events: list[dict[str, Any]]
    restarted: frozenset[str]


def mend(cluster: Operator) -> Mended:
    """Plan, apply, and plan again: apply does what plan said, and nothing is left after it."""
    planned = json.loads(cluster.clusterup("plan", "lab.yaml", "-o", "json").splitlines()[-1])["actions"]
    _, before = cluster.looks()
    said = cluster.clusterup("apply", "lab.yaml", "--yes", "-o", "json")
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    done = [event["id"] for event in events if event["event"] == "ActionDone"]
    assert sorted(done) == sorted(action["id"] for action in planned)
    _, after = cluster.looks()
    assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")
    restarted = restarts(before, after)
    print("restarted:", ", ".join(sorted(restarted)) or "nothing")
    return Mended(tuple(name for name in done if not name.endswith("/handover")), events, restarted)


def restarts(before: World, after: World) -> frozenset[str]:
    return frozenset(
        f"{name}/{unit}"
        for name, facts in after.nodes.items()
        for unit, found in facts.units.items()
        if found.since != before.nodes[name].units[unit].since
    )


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
    mended = mend(cluster)
    assert set(mended.done) == {f"{ONE}/files", f"{ONE}/node"}
    assert mended.restarted == frozenset()
    node = json.loads(cluster.kubectl("get", "node", ONE, "-o", "json"))
    assert (node["metadata"]["labels"]["disk"], node["metadata"]["labels"]["rack"]) == ("ssd", "r1")
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["lab"]

    cluster.kubectl("label", "node", ONE, "theirs=1", "rack=r9", "--overwrite")

    def second(content: dict[str, Any]) -> None:
        content["nodes"][0]["labels"] = {"rack": "r1"}
        del content["nodes"][0]["taints"]

    edit(second)
    mended = mend(cluster)
    assert set(mended.done) == {f"{ONE}/files", f"{ONE}/node"}
    assert mended.restarted == frozenset()
    node = json.loads(cluster.kubectl("get", "node", ONE, "-o", "json"))
    assert "disk" not in node["metadata"]["labels"]
    assert (node["metadata"]["labels"]["rack"], node["metadata"]["labels"]["theirs"]) == ("r1", "1")
    assert node["spec"].get("taints", []) == []


def test_a_dry_run_leaves_every_file_of_a_node_as_it_is(
    cluster: Operator, edit: Callable[[Callable[[dict[str, Any]], None]], None]
) -> None:
    edit(lambda content: content["nodes"][0].update(labels={"disk": "ssd"}))
    look = "find /etc /var/lib/clusterup /var/lib/extensions /var/lib/kubelet/pki -type f -exec sha256sum {} + | sort"
    before = {name: cluster.runs_on(name, look) for name in SERVERS}
    said = cluster.runs("apply", "lab.yaml", "--yes", "--dry-run")
    assert "give its Node the labels and taints of the inventory" in said.stdout
    assert {name: cluster.runs_on(name, look) for name in SERVERS} == before
    assert "disk" not in json.loads(cluster.kubectl("get", "node", ONE, "-o", "json"))["metadata"]["labels"]


def test_an_argument_restarts_its_own_unit_on_one_server_after_the_other(
    cluster: Operator, edit: Callable[[Callable[[dict[str, Any]], None]], None]
) -> None:
    edit(lambda content: content["kubernetes"]["scheduler_args"].update({"v": "1"}))
    mended = mend(cluster)
    assert mended.restarted == {f"{name}/kube-scheduler.service" for name in SERVERS}
    spans = [event for event in mended.events if str(event.get("id")).endswith("/control-plane")]
    turns = [(event["event"], event["node"]) for event in spans if event["event"] in ("ActionStarted", "ActionDone")]
    assert turns == [(event, name) for name in SERVERS for event in ("ActionStarted", "ActionDone")]


def test_a_unit_that_somebody_stopped_runs_again(cluster: Operator) -> None:
    cluster.runs_on(TWO, "systemctl stop kube-proxy")
    mended = mend(cluster)
    assert mended.done == (f"{TWO}/join",)
    assert mended.restarted == {f"{TWO}/kube-proxy.service"}


def test_an_edited_file_is_put_back_and_restarts_what_had_read_it(cluster: Operator) -> None:
    edited = "echo '# edited' >>/etc/clusterup/haproxy.cfg"
    cluster.runs_on(THREE, edited)
    mended = mend(cluster)
    assert (mended.done, mended.restarted) == ((f"{THREE}/files",), frozenset())

    cluster.runs_on(THREE, f"{edited}; systemctl restart clusterup-balancer")
    mended = mend(cluster)
    assert mended.done == (f"{THREE}/files", f"{THREE}/runtime")
    assert mended.restarted == {f"{THREE}/clusterup-balancer.service"}


def test_a_key_that_was_opened_to_all_is_closed_again(cluster: Operator) -> None:
    cluster.runs_on(ONE, "chmod 0644 /etc/kubernetes/pki/apiserver.key")
    mended = mend(cluster)
    assert (mended.done, mended.restarted) == ((f"{ONE}/files",), frozenset())
    assert cluster.runs_on(ONE, "stat -c %a /etc/kubernetes/pki/apiserver.key").strip() == "600"


def test_a_certificate_near_its_end_is_made_anew_for_what_reads_it(cluster: Operator) -> None:
    intent = intent_of_file(cluster.inventory, None)
    old = issue(intent.keys.pki.front_proxy, common_name="front-proxy-client", usage=Usage.CLIENT, days=20)
    kept = intent.state.pki_folder / "nodes" / TWO
    (kept / "front-proxy-client.crt").write_bytes(old.cert_pem)
    (kept / "front-proxy-client.key").write_bytes(old.key_pem)
    mended = mend(cluster)
    assert mended.done == ("cluster/keys", f"{TWO}/files", f"{TWO}/control-plane")
    # The two that talk to it may begin anew by themselves while it is away, as they do when they lose their lease.
    beside = {f"{TWO}/kube-controller-manager.service", f"{TWO}/kube-scheduler.service"}
    assert mended.restarted - beside == {f"{TWO}/kube-apiserver.service"}


def test_a_member_that_was_removed_from_the_quorum_becomes_one_again_and_its_old_data_is_kept(
    cluster: Operator,
) -> None:
    before = data_set_aside(cluster)
    remove_member(cluster, THREE)
    mended = mend(cluster)
    assert f"{THREE}/etcd.member" in mended.done
    assert mended.restarted == {f"{THREE}/etcd.service"}
    assert len(data_set_aside(cluster) - before) == 1
    every_server_votes(cluster)


def data_set_aside(cluster: Operator) -> set[str]:
    """The folders of data that the third server had as a member that was removed."""
    listed = f'find "$(dirname {DATA})" -maxdepth 1 -name "$(basename {DATA}).removed-*"'
    return {*cluster.runs_on(THREE, listed).split()}


def remove_member(cluster: Operator, name: str) -> None:
    """What somebody does with `etcdctl member remove`; afterwards the others have got over it."""
    others = {*SERVERS} - {name}
    intent = intent_of_file(cluster.inventory, None)

    def removed() -> bool:
        with connections_of(intent, nobody) as connections, etcd_at(connections.on(ONE), intent.keys) as client:
            ids = [member.id for member in client.members() if member.name == name]
            try:
                for each in ids:
                    client.remove(each)
            except NotSettled:
                return False
        return True

    def settled() -> bool:
        status = cluster.status()
        well = {member["name"] for member in status["etcd"] if member["voter"] and not member["problem"]}
        led = any(member["leader"] for member in status["etcd"])
        return led and well == others and {server["node"] for server in status["api"] if server["ready"]} >= others

    wait_for(removed, "etcd to remove a member", 120)
    wait_for(settled, "the other members to go on", 300)


def every_server_votes(cluster: Operator) -> None:
    wait_for(lambda: bool(cluster.status()["healthy"]), "the cluster to be healthy", 300)
    voters = {found["name"] for found in cluster.status()["etcd"] if found["voter"]}
    assert voters == set(SERVERS)
