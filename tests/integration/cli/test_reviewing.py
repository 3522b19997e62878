"""A plan that can be reviewed, as a person types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bootstrap.state.membership import note_applied
from tests.integration.cli.operators import INVENTORY, said, types
from tests.simulator.cluster import SimulatedCluster, simulated_cluster

SETTINGS = "/etc/kubernetes/kubelet.yaml"
UNIT = "/etc/systemd/system/kubelet.service"


@pytest.fixture
def founded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCluster]:
    """A cluster whose operator has applied it."""
    with simulated_cluster(tmp_path, servers=3, agents=1) as made:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        intent = made.intent()
        made.install()
        intent.state.note_founded()
        note_applied(intent.state, intent.inventory.nodes)
        for desired in intent.nodes.values():
            if desired.handover is not None:
                intent.state.note_handover(desired.handover.sha256)
            intent.state.note_installed(desired.node.name)
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
