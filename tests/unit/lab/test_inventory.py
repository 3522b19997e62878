"""The inventory that a lab comes with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.inventory.load import load_inventory
from bootstrap.lab.inventory import check_inventory_place, inventory_text
from bootstrap.lab.spec import Accel, LabSpec
from tests.unit.lab.samples import paper_lab


@pytest.mark.parametrize(("servers", "agents"), [(1, 0), (2, 0), (3, 0), (3, 4), (5, 1), (9, 30)])
def test_it_is_valid_and_describes_every_machine(tmp_path: Path, servers: int, agents: int) -> None:
    lab = paper_lab(tmp_path, LabSpec(name="try", servers=servers, agents=agents))
    file = tmp_path / "lab.yaml"
    file.write_text(inventory_text(lab, None, 20))
    inventory = load_inventory(file)
    assert inventory.cluster.name == "try"
    assert inventory.cluster.endpoint == f"127.0.0.1:{lab.endpoint_port}"
    assert inventory.os.bundle is None
    assert (len(inventory.servers), len(inventory.agents)) == (servers, agents)
    for machine in lab.machines:
        node = inventory.node(machine.name)
        assert str(node.address) == machine.address
        assert node.disk == f"serial:{machine.serial}"
        private, access = node.interfaces
        assert (private.mac, [str(address) for address in private.addresses]) == (
            machine.private_mac,
            [f"{machine.address}/24"],
        )
        assert (private.dhcp, private.gateway) == (False, None)
        assert (access.mac, access.addresses, access.dhcp) == (machine.access_mac, (), True)
        assert (node.ssh.host, node.ssh.port, node.ssh.user) == ("127.0.0.1", machine.ssh_port, "root")
        assert (node.ssh.key, node.ssh.host_key) == (str(lab.key_file), machine.host_key)
        assert node.ssh.use_config is False


def test_emulated_machines_get_patience_and_no_samples_of_how_busy_they_are(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(inventory_text(paper_lab(tmp_path, LabSpec(), Accel.TCG), None, 20))
    made = load_inventory(file)
    assert {node.ssh.silence for node in made.nodes} == {60}
    kubernetes = made.kubernetes
    counts = {"etcd-count-metric-poll-period": "0s", "etcd-db-metric-poll-interval": "0s"}
    assert kubernetes.api_server_args == {"feature-gates": "APIPriorityAndFairness=false", **counts}
    assert kubernetes.etcd_args["election-timeout"] == "10000"
    assert kubernetes.scheduler_args["leader-elect-lease-duration"] == "90s"


def test_a_feature_gate_that_newer_kubernetes_does_not_know_is_not_set(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(inventory_text(paper_lab(tmp_path, LabSpec(), Accel.TCG), None, 31))
    assert "feature-gates" not in load_inventory(file).kubernetes.api_server_args


def test_machines_with_kvm_run_with_the_defaults_of_kubernetes(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(inventory_text(paper_lab(tmp_path, LabSpec(), Accel.KVM), None, 20))
    made = load_inventory(file)
    assert {node.ssh.silence for node in made.nodes} == {15}
    kubernetes = made.kubernetes
    assert (kubernetes.etcd_args, kubernetes.api_server_args, kubernetes.scheduler_args) == ({}, {}, {})


def test_a_bundle_that_was_named_stands_in_it_with_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "lab.yaml"
    file.write_text(inventory_text(paper_lab(tmp_path, LabSpec()), "some/bundle", 20))
    assert load_inventory(file).os.bundle == str(tmp_path / "some/bundle")


def test_a_free_place_and_the_labs_own_file_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    check_inventory_place(file, "lab")
    file.write_text(inventory_text(paper_lab(tmp_path, LabSpec()), None, 20))
    check_inventory_place(file, "lab")


@pytest.mark.parametrize(
    "content", ["", "cluster: {name: lab}\n", "# Written by `clusterup lab up` for the lab other.\n"]
)
def test_a_file_that_is_not_the_labs_own_is_bad_use(tmp_path: Path, content: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(content)
    with pytest.raises(BadUse):
        check_inventory_place(file, "lab")


def test_a_missing_folder_and_a_binary_file_are_bad_use(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for place in (tmp_path / "none" / "lab.yaml", tmp_path / "binary", tmp_path):
        with pytest.raises(BadUse):
            check_inventory_place(place, "lab")
