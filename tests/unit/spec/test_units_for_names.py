"""Names on a node: unbound, the agent that feeds it, and what pods of the node's own network are told."""

from __future__ import annotations

import dataclasses
import json
from ipaddress import IPv4Address, IPv4Network

import pytest
import yaml

from bootstrap.constants.paths import KUBELET_YAML
from bootstrap.image.versions import Versions
from bootstrap.inventory.dns import Dns
from bootstrap.inventory.volumes import Volumes
from bootstrap.machine.units import Unit
from bootstrap.spec.agent import agent_unit
from bootstrap.spec.dns import dns_unit, reverse_zones
from bootstrap.spec.node_services import kubelet_unit
from bootstrap.spec.topology import Shape, servers_of
from tests.unit.spec.test_units import CA, agent, inventory, shape, text


@pytest.mark.parametrize(
    ("network", "zones"),
    [
        ("10.96.0.0/16", ["96.10.in-addr.arpa"]),
        ("10.244.0.0/24", ["0.244.10.in-addr.arpa"]),
        ("10.96.0.0/15", ["96.10.in-addr.arpa", "97.10.in-addr.arpa"]),
        ("10.0.0.0/8", ["10.in-addr.arpa"]),
        ("10.96.4.0/23", ["4.96.10.in-addr.arpa", "5.96.10.in-addr.arpa"]),
        ("10.96.0.240/28", [f"{number}.0.96.10.in-addr.arpa" for number in range(240, 256)]),
    ],
)
def test_addresses_are_looked_up_in_as_many_zones_as_their_network_takes(network: str, zones: list[str]) -> None:
    assert list(reverse_zones(IPv4Network(network))) == zones


def test_the_agent_looks_after_what_the_inventory_asks_for() -> None:
    def settings(unit: Unit) -> dict[str, object]:
        found: dict[str, object] = json.loads(unit.files[0].content)
        return found

    assert {"pods", "dns"} <= settings(agent(shape("a1"))).keys()
    assert "pods" not in settings(agent(shape("a1", cni="none")))
    whole = inventory(cni="none").model_copy(update={"dns": Dns(by="none"), "volumes": Volumes(by="none")})
    assert agent_unit(Shape(whole, whole.node("a1"), Versions(20, (1, 7)), servers_of(whole)), CA) is None


def test_pods_that_ask_for_the_node_s_own_name_servers_get_those_that_they_can_reach() -> None:
    def resolvers(shape: Shape) -> object:
        (config,) = (file for file in kubelet_unit(shape, CA).files if file.path == KUBELET_YAML)
        return yaml.safe_load(config.content).get("resolvConf")

    given = shape("a1")
    assert resolvers(given) == "/run/systemd/resolve/resolv.conf"
    # Those that the inventory names for all cards are in /etc/resolv.conf itself.
    node = given.node.model_copy(update={"dns": (IPv4Address("192.0.2.1"),)})
    assert resolvers(dataclasses.replace(given, node=node)) is None


def test_the_nodes_themselves_find_names_where_that_is_asked_for() -> None:
    given = shape("a1")
    assert "resolvectl" not in text(dns_unit(given))
    whole = given.inventory.model_copy(update={"dns": Dns(nodes=True)})
    asked = text(dns_unit(dataclasses.replace(given, inventory=whole)))
    assert "resolvectl dns clusterup-dns 10.96.0.10\n" in asked
    assert "resolvectl domain clusterup-dns ~cluster.local ~244.10.in-addr.arpa ~96.10.in-addr.arpa\n" in asked
