"""A cluster of three servers works, and stays as it is."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from bootstrap.facts.model import ClusterFacts
from bootstrap.operations.verify import names_to_find
from bootstrap.support.secrets import known_secrets
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS, THREE_SERVERS
from tests.pages import blocks_tried_on, programs_in, typed

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]


@pytest.fixture(scope="module")
def cluster(labs: Labs) -> Operator:
    """Three servers, as `cluster/forming` left them."""
    return labs.begins(THREE_SERVERS, __name__)


def test_a_pod_on_each_node_reaches_a_pod_on_each_other_and_the_api_and_finds_names(cluster: Operator) -> None:
    fetches = json.loads(cluster.clusterup("verify", "lab.yaml", "--timeout", "900", "-o", "json"))
    nodes = {*SERVERS}
    targets = {*nodes, "api", "claim:local", *(f"name:{name}" for name in names_to_find("cluster.local"))}
    assert {(row["from"], row["to"]) for row in fetches} == {(a, b) for a in nodes for b in targets}
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


def test_what_somebody_needs_who_looks_for_a_fault_holds_none_of_its_secrets(cluster: Operator) -> None:
    cluster.kubectl("create", "secret", "generic", "known", "--from-literal=password=correct-horse-battery")
    token = cluster.clusterup("token", "create", "lab.yaml").strip()
    cluster.clusterup("support", "lab.yaml", "--out", "report.tar.gz")
    cluster.kubectl("delete", "secret", "known")
    intent, _ = cluster.looks()
    secrets = {
        **known_secrets(intent.state.folder),
        "correct-horse-battery": "of a Secret",
        token.rpartition(".")[2]: "a token",
    }
    with tarfile.open(cluster.folder / "report.tar.gz") as archive:
        files = {entry.name: archive.extractfile(entry).read().decode() for entry in archive}  # type: ignore[union-attr]
    assert {what for text in files.values() for secret, what in secrets.items() if secret in text} == set()
    names = {name.partition("/")[2] for name in files}
    assert {"status.json", "api/Node.json", *(f"nodes/{node}/etcd.log" for node in SERVERS)} <= names
    assert json.loads(next(text for name, text in files.items() if name.endswith("/status.json")))["etcd"]


def test_what_pages_say_is_to_be_typed_on_a_lab_works_as_it_stands(cluster: Operator, tmp_path: Path) -> None:
    programs = programs_in(tmp_path / "programs", kubectl=cluster.clusterup("image", "path", "tool/kubectl").strip())
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "XDG_STATE_HOME": str(cluster.state),
        "KUBECONFIG": str(cluster.folder / f"{cluster.name}.kubeconfig"),
    }
    # What pages call the inventory where they name none.
    (cluster.folder / "inventory.yaml").symlink_to("lab.yaml")
    blocks = dict(blocks_tried_on("a lab"))
    assert blocks
    ran = {where: typed(block, cluster.folder, environment) for where, block in blocks.items()}
    assert {where: done.stderr[-2000:] for where, done in ran.items() if done.returncode} == {}


def test_a_doctor_finds_no_fault_in_it_and_names_a_member_of_etcd_that_does_not_run(cluster: Operator) -> None:
    well = json.loads(cluster.clusterup("doctor", "lab.yaml", "-o", "json"))
    assert well["faults"] == 0, well
    assert {*SERVERS, "this machine", "the cluster"} == well["looked_at"].keys()
    assert not [each for each in well["findings"] if "can't be understood" in each["what"]]
    cluster.runs_on("server-3", "systemctl stop etcd")
    ill = cluster.runs("doctor", "lab.yaml", "-o", "json")
    assert ill.returncode == 3
    found = {(each["weight"], each["where"], each["about"]): each for each in json.loads(ill.stdout)["findings"]}
    assert "no further server may fail" in found["warning", "the cluster", "etcd"]["what"]
    assert "clusterup logs server-3 etcd -i lab.yaml" in found["fault", "server-3", "etcd"]["mend"]
    assert "clusterup apply lab.yaml" in found["warning", "server-3", "plan"]["mend"]
