"""Claims get volumes on the disk of the node that their pod comes to: they outlive it, keep their size, and grow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.pods import IMAGE, phase_of
from tests.e2e.shapes import AGENT, SERVER, SERVER_AND_AGENT
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
FOLDER = "/var/lib/clusterup/volumes"
CLAIM = "data"


@pytest.fixture(scope="module")
def cluster(labs: Labs, request: pytest.FixtureRequest) -> Operator:
    """A server and an agent, which each test leaves to the next."""
    return labs.begins(SERVER_AND_AGENT, request.node.nodeid)


def apply(operator: Operator, manifest: dict[str, Any]) -> None:
    file = operator.folder / "manifest.json"
    file.write_text(json.dumps(manifest))
    operator.kubectl("apply", "-f", str(file))


def claim(operator: Operator, size: str, **spec: Any) -> None:
    """A claim that names no class."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    metadata = {"name": CLAIM}
    apply(operator, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})


def pod(operator: Operator, name: str, script: str, *, user: int = 1000, **mount: str) -> None:
    """A pod of a user that is nobody on the node, with the claim's volume at /data."""
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data", **mount}],
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsUser": user, "runAsGroup": user, "fsGroup": 2000},
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}],
    }
    apply(operator, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def ends(operator: Operator, name: str) -> str:
    """What a pod says that ends well."""
    wait_for(lambda: phase_of(operator, name) in ("Succeeded", "Failed"), f"{name} to end", 600)
    said = operator.kubectl("logs", name)
    assert phase_of(operator, name) == "Succeeded", said
    operator.kubectl("delete", "pod", name)
    return said


def volume_of(operator: Operator) -> str:
    return operator.kubectl("get", "pvc", CLAIM, "-o", "jsonpath={.spec.volumeName}")


def test_what_a_pod_has_written_is_there_for_the_next_one_of_another_user(cluster: Operator) -> None:
    claim(cluster, "4Mi")
    pod(cluster, "writes", "echo written >/data/file && stat -c %g /data/file", subPath="part")
    assert ends(cluster, "writes").strip() == "2000"
    pod(cluster, "reads", "cat /data/part/file", user=1001)
    assert ends(cluster, "reads").strip() == "written"
    there = cluster.runs_on(AGENT, f"cat {FOLDER}/{volume_of(cluster)}/part/file")
    assert there.strip() == "written"


def test_a_volume_keeps_its_size_and_others_their_room(cluster: Operator) -> None:
    script = (
        "! dd if=/dev/zero of=/data/large bs=64k count=128 2>/dev/null && df -k /data | tail -n 1 && rm /data/large"
    )
    pod(cluster, "fills", script)
    # In KiB: the whole of it, as df has it for the volume.
    assert ends(cluster, "fills").split()[1] == "4096"


def test_a_volume_grows_while_its_pod_runs(cluster: Operator) -> None:
    waits = "until dd if=/dev/zero of=/data/large bs=64k count=128 2>/dev/null; do sleep 1; done; echo grown"
    pod(cluster, "waits", waits)
    wait_for(lambda: phase_of(cluster, "waits") == "Running", "waits to run", 600)
    claim(cluster, "16Mi")
    assert ends(cluster, "waits").strip() == "grown"
    assert cluster.kubectl("get", "pvc", CLAIM, "-o", "jsonpath={.status.capacity.storage}") == "16Mi"


def test_a_node_that_leaves_names_the_claims_whose_data_goes_with_it(cluster: Operator) -> None:
    before = cluster.inventory.read_bytes()
    cluster.edits(lambda content: content.update(nodes=[n for n in content["nodes"] if n["name"] != AGENT]))
    said = cluster.runs("plan", "lab.yaml", "--prune").stderr
    cluster.inventory.write_bytes(before)
    assert f"the data of the claim default/{CLAIM} (16Mi) is on {AGENT}'s disk and nowhere else" in said


def test_a_claim_that_no_directory_can_fill_says_why(cluster: Operator) -> None:
    wide = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "wide"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    apply(cluster, wide)
    cluster.kubectl("annotate", "pvc", "wide", f"volume.kubernetes.io/selected-node={AGENT}")
    wait_for(
        lambda: "ReadWriteMany" in cluster.kubectl("get", "events", "-o", "jsonpath={.items[*].message}"), "why", 300
    )
    cluster.kubectl("delete", "pvc", "wide")


def test_a_node_makes_volumes_of_its_own_alone_where_kubernetes_can_keep_it_to_that(cluster: Operator) -> None:
    name = volume_of(cluster)
    found = json.loads(cluster.kubectl("get", "pv", name, "-o", "json"))
    other = {**found, "metadata": {key: found["metadata"][key] for key in ("name", "annotations")}}
    other["spec"]["claimRef"] = {**other["spec"]["claimRef"], "uid": "00000000-0000-0000-0000-000000000000"}
    other["metadata"]["name"] = "pvc-00000000-0000-0000-0000-000000000000"
    file = cluster.folder / "volume.json"
    minor = int(json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["minor"].rstrip("+"))
    as_agent = ("create", "--dry-run=server", "-f", str(file), f"--as=system:node:{AGENT}", "--as-group=system:nodes")
    for place, is_its_own in ((f"{FOLDER}/{other['metadata']['name']}", True), ("/etc/kubernetes", False)):
        other["spec"]["local"]["path"] = place
        file.write_text(json.dumps(other))
        done = cluster.asks(*as_agent)
        assert (done.returncode == 0) is (is_its_own or minor < 30), done.stderr
    other["spec"]["local"]["path"] = f"{FOLDER}/{other['metadata']['name']}"
    file.write_text(json.dumps(other))
    done = cluster.asks(*as_agent[:-2], f"--as=system:node:{SERVER}", "--as-group=system:nodes")
    assert (done.returncode == 0) is (minor < 30), done.stderr


def test_a_volume_goes_with_its_claim(cluster: Operator) -> None:
    name = volume_of(cluster)
    cluster.kubectl("delete", "pvc", CLAIM)
    wait_for(lambda: not cluster.asks("get", "pv", name).stdout, "the volume to go", 300)
    assert cluster.runs_on(AGENT, f"ls -A {FOLDER}").strip() == ""


def test_a_further_disk_is_formatted_and_has_the_volumes_from_then_on(cluster: Operator) -> None:
    def asks(content: dict[str, Any]) -> None:
        (node,) = [node for node in content["nodes"] if node["name"] == AGENT]
        node["volumes"] = {"disk": "/dev/vdb"}

    cluster.edits(asks)
    assert f"format /dev/vdb (1.0 GiB, serial lab-{AGENT}-2, empty) for volumes" in cluster.clusterup(
        "plan", "lab.yaml"
    )
    cluster.clusterup("apply", "lab.yaml", "--yes")
    assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")
    claim(cluster, "4Mi")
    pod(cluster, "elsewhere", "df -k /data | tail -n 1")
    assert ends(cluster, "elsewhere").split()[1] == "4096"
    there = cluster.runs_on(AGENT, f"findmnt -no SOURCE -T {FOLDER}/{volume_of(cluster)}")
    assert there.strip() == "/dev/vdb"
    restarts(cluster)
    assert cluster.runs_on(AGENT, f"findmnt -no SOURCE {FOLDER}").strip() == "/dev/vdb"
    pod(cluster, "again", "df -k /data | tail -n 1")
    assert ends(cluster, "again").split()[1] == "4096"


def restarts(cluster: Operator) -> None:
    """Its power is cut, and it is switched on again."""
    boot = "cat /proc/sys/kernel/random/boot_id"
    before = cluster.runs_on(AGENT, boot)
    cluster.clusterup("lab", "stop", AGENT, "--name", cluster.name)
    cluster.clusterup("lab", "up", "--name", cluster.name, "--inventory", "machines.yaml")

    def is_back() -> bool:
        return cluster.states()[AGENT] != "unreachable" and cluster.runs_on(AGENT, boot) != before

    wait_for(is_back, "the agent to start", 900)
    wait_for(lambda: cluster.states()[AGENT] == "Ready", "the agent to be Ready", 900)
