"""A cluster of machines with different processors: an amd64 server, and an agent that is an emulated arm64 machine.

Not a scenario: what is built for arm64 on another machine takes half an hour the first time. Run by its name:
scripts/test tests/by_name/test_arm64.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bootstrap.image.finding import bundles_dir
from tests.e2e.operator import Operator
from tests.e2e.pods import IMAGE, logs
from tests.helpers.daemons import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(4 * 3600)]
AGENT, SERVER = "agent-1", "server-1"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Somebody with a bundle for both, and two bare machines."""
    folder = tmp_path_factory.mktemp("arm64")
    found = Operator(folder, folder / "state", "arm64")
    before = (bundles_dir() / "current").resolve()
    found.clusterup("image", "build", "--source", "debian", "--arch", "amd64", "--arch", "arm64")
    bundle = str((bundles_dir() / "current").resolve())
    if before.exists():
        # What others of this user take by default stays what it was.
        (bundles_dir() / "current").unlink()
        (bundles_dir() / "current").symlink_to(before.name)
    named = ("--name", "arm64")
    machines = ("--servers", "1", "--agents", "1", "--arch", f"{AGENT}=arm64", "--cpus", "1")
    try:
        found.clusterup("lab", "up", *named, *machines, "--bundle", bundle)
        yield found
    finally:
        found.clusterup("lab", "down", *named)


def test_both_become_ready_nodes_of_one_cluster(operator: Operator) -> None:
    operator.clusterup("apply", "lab.yaml", "--yes")
    assert operator.states() == {SERVER: "Ready", AGENT: "Ready"}
    nodes = json.loads(operator.kubectl("get", "nodes", "-o", "json"))["items"]
    assert {node["metadata"]["name"]: node["status"]["nodeInfo"]["architecture"] for node in nodes} == {
        SERVER: "amd64",
        AGENT: "arm64",
    }


def test_nothing_is_left_to_do(operator: Operator) -> None:
    assert "nothing to do" in operator.clusterup("plan", "lab.yaml")


def test_a_pod_runs_on_the_one_with_the_other_processor(operator: Operator) -> None:
    operator.kubectl(
        "run", "there", f"--image={IMAGE}", "--restart=Never", *on(AGENT), "--command", "--", "uname", "-m"
    )
    wait_for(lambda: bool(logs(operator, "there")), "the pod's end", 1200)
    assert logs(operator, "there").strip() == "aarch64"


def on(node: str) -> tuple[str, ...]:
    """Options of kubectl run that put a pod on a node."""
    return ("--overrides", json.dumps({"spec": {"nodeName": node}}))
