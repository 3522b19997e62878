"""A node's configuration: what its initrd lays over /etc."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from bootstrap.inventory.model import Inventory
from bootstrap.pki.identity import NodeIdentity
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.spec.os_config import node_etc
from bootstrap.state.cluster import ClusterState


@cache
def identity(folder: Path) -> NodeIdentity:
    return ClusterState(folder).identity("s1")


OPERATOR = new_ssh_key().public


def files(tmp_path: Path, **node: Any) -> dict[str, tuple[str, int]]:
    inventory = Inventory.model_validate(
        {
            "cluster": {"name": "lab"},
            "nodes": [
                {"name": "s1", "role": "server", "address": "10.0.0.1", **node},
                {"name": "a1", "address": "10.0.0.2"},
            ],
        }
    )
    etc = node_etc(
        inventory,
        inventory.node("s1"),
        cluster_id="c1",
        identity=identity(tmp_path),
        authorized_keys=[OPERATOR],
    )
    return {file.path: (file.content.decode(), file.mode) for file in etc}


def test_a_node_s_name_and_machine_id_come_from_its_configuration(tmp_path: Path) -> None:
    etc = files(tmp_path)
    assert etc["hostname"][0] == "s1\n"
    assert len(etc["machine-id"][0].strip()) == 32
    assert files(tmp_path) == etc


def test_without_cards_the_node_asks_dhcp_on_every_wired_one_and_takes_no_name_from_it(tmp_path: Path) -> None:
    text = files(tmp_path)["systemd/network/20-wired.network"][0]
    assert "DHCP=ipv4" in text
    assert "UseHostname=no" in text


def test_a_card_with_a_static_address_asks_no_one(tmp_path: Path) -> None:
    etc = files(
        tmp_path,
        interfaces=[{"mac": "52:54:00:AA:00:01", "addresses": ["10.0.0.1/24"], "gateway": "10.0.0.254"}],
    )
    text = etc["systemd/network/10-525400aa0001.network"][0]
    assert "Address=10.0.0.1/24\nGateway=10.0.0.254\n" in text
    assert "DHCP=no" in text
    assert "systemd/network/20-wired.network" not in etc


def test_a_card_reaches_networks_behind_routers(tmp_path: Path) -> None:
    card = {"mac": "52:54:00:aa:00:01", "addresses": ["10.0.0.1/24"]}
    routes = [{"to": "10.0.0.0/8", "via": "10.0.0.253"}, {"to": "192.0.2.0/24", "via": "10.0.0.252"}]
    name = "systemd/network/10-525400aa0001.network"
    plain = files(tmp_path, interfaces=[card])[name][0]
    text = files(tmp_path, interfaces=[{**card, "routes": routes}])[name][0]
    assert text == (
        f"{plain}\n[Route]\nDestination=10.0.0.0/8\nGateway=10.0.0.253\n"
        "\n[Route]\nDestination=192.0.2.0/24\nGateway=10.0.0.252\n"
    )
    assert "Route" not in plain


def test_only_root_reads_the_host_key(tmp_path: Path) -> None:
    text, mode = files(tmp_path)["ssh/ssh_host_ed25519_key"]
    assert "OPENSSH PRIVATE KEY" in text
    assert mode == 0o600


def test_the_operator_s_keys_and_the_inventory_s_may_log_in(tmp_path: Path) -> None:
    mine = new_ssh_key().public
    etc = files(tmp_path, ssh_authorized_keys=[f"{mine} me", OPERATOR])
    assert etc["ssh/authorized_keys.d/root"][0] == f"{OPERATOR}\n{mine} me\n"


def test_a_node_knows_its_cluster_and_the_other_nodes(tmp_path: Path) -> None:
    etc = files(tmp_path)
    assert json.loads(etc["clusterup/cluster.json"][0]) == {
        "cluster": "lab",
        "id": "c1",
        "node": "s1",
        "role": "server",
    }
    assert "10.0.0.2 a1\n" in etc["hosts"][0]


def test_kernel_settings_modules_and_time_servers_are_files(tmp_path: Path) -> None:
    etc = files(tmp_path, sysctls={"vm.max_map_count": "262144"}, modules=["nbd"], ntp=["192.0.2.1"], dns=["192.0.2.2"])
    assert etc["sysctl.d/90-clusterup.conf"][0] == "vm.max_map_count = 262144\n"
    assert etc["modules-load.d/90-clusterup.conf"][0] == "nbd\n"
    assert etc["systemd/timesyncd.conf.d/10-clusterup.conf"][0] == "[Time]\nNTP=192.0.2.1\n"
    assert etc["resolv.conf"][0] == "nameserver 192.0.2.2\n"
