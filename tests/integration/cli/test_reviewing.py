"""A plan that can be reviewed, as a person types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.cli.operators import INVENTORY, has_applied, said, sits_at, types
from tests.simulator.cluster import SimulatedCluster, simulated_cluster

UNIT = "/etc/systemd/system/kubelet.service"


@pytest.fixture
def founded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCluster]:
    """A cluster whose operator has applied it."""
    with simulated_cluster(tmp_path, servers=3, agents=1) as made:
        sits_at(made, monkeypatch)
        for desired in has_applied(made).nodes.values():
            made.machines[desired.node.name].contents = {file.path: file.content for file in desired.files}
        yield made


def wants(cluster: SimulatedCluster, **kubernetes: dict[str, str]) -> None:
    """Write into the inventory how Kubernetes is to be started."""
    content = yaml.safe_load(cluster.inventory.read_text())
    content["kubernetes"] = {**content.get("kubernetes", {}), **kubernetes}
    cluster.inventory.write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_plan_names_files_and_restarts_and_what_these_interrupt(founded: SimulatedCluster) -> None:
    wants(founded, kubelet_args={"max-pods": "200"}, api_server_args={"v": "2"})
    shown = said(types("plan", INVENTORY))
    assert f"~ {UNIT} (other content)" in shown
    restarts = shown[shown.index("restarts (servers one after the other") :]
    assert [line.strip() for line in restarts.splitlines() if line.startswith("  s")] == ["s1", "s2", "s3"]
    assert "kube-apiserver (what is connected to it connects to another one)" in restarts
    assert "kubelet (pods go on)" in restarts
    assert not any(line.strip().startswith("+") and "max-pods" in line for line in shown.splitlines())


def test_a_diff_shows_what_is_other_and_nothing_that_is_secret(founded: SimulatedCluster) -> None:
    wants(founded, kubelet_args={"max-pods": "200"})
    for machine in founded.machines.values():
        path = next(path for path, (mode, _) in machine.files.items() if not mode & 0o077)
        machine.files = {**machine.files, path: (0o600, "0" * 64)}
    shown = said(types("plan", INVENTORY, "--diff"))
    assert any(line.strip().startswith("+") and "max-pods" in line for line in shown.splitlines())
    assert "(secret: its content is not shown)" in shown
    assert "PRIVATE" not in shown
    document = json.loads(types("plan", INVENTORY, "--diff", "-o", "json").stdout.splitlines()[-1])
    assert {diff["node"] for diff in document["diffs"]} == {"s1", "s2", "s3", "a1"}
    assert any("max-pods" in line for diff in document["diffs"] for line in diff["diff"])
