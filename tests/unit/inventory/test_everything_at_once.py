"""All that is wrong is said at once: a wrong value hides neither other values nor the rules between two places."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.inventory.reading import lab, problems

TWIN = {"name": "server-1", "address": "192.0.2.21"}


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"disk": "sda"}, "disk"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"ssh": {"port": 0}}, "ssh.port"),
        ({"ssh": "root"}, "ssh"),
        ({"labels": {"a b": "1"}}, "labels.a b"),
        ({"taints": ["x"]}, "taints.0"),
        ({"console": {"url": "com1"}}, "console.url"),
        ({"role": "boss"}, "role"),
        ({"interfaces": [{"mac": "x"}]}, "interfaces.0.mac"),
        ({"schedulable": 1}, "schedulable"),
    ],
)
def test_a_wrong_value_of_a_node_does_not_hide_that_two_have_one_name(wrong: dict[str, Any], where: str) -> None:
    said = problems(lab(**wrong, others=[TWIN]))
    assert len(said) == 2
    assert any(where in each for each in said)
    assert any("two nodes have the name 'server-1' (first in line 1)" in each for each in said)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cluster": {"pod_cidr": "x"}},
        {"cluster": {"service_cidr": "10.96.0.0"}},
        {"cluster": {"allow_even_servers": "no"}},
        {"cluster": {"colour": 1}},
        {"cluster": {"name": "LAB"}},
        {"kubernetes": {"version": "1.x", "source": "upstream"}},
        {"kubernetes": "1.31.2"},
        {"os": {"bundle": 5}},
        {"defaults": {"disk": 5}},
        {"defaults": {"console": {"baud": "x"}}},
    ],
)
def test_a_wrong_value_of_a_section_does_not_hide_that_two_nodes_have_one_name(wrong: dict[str, Any]) -> None:
    said = problems(lab(**wrong, others=[TWIN]))
    assert len(said) == 2
    assert any("two nodes have the name" in each for each in said)


def test_what_is_wrong_breaks_no_rule_by_what_stands_in_for_it() -> None:
    """A wrong address equals no other one, lies in no network, and is no card's."""
    card = {"mac": "52:54:00:12:34:56", "addresses": ["192.0.2.31/24"]}
    others = [{"name": f"agent-{n}", "address": "10.96.0.1.5", "interfaces": [card][:n]} for n in (0, 1)]
    said = problems(lab(others=others))
    assert [each.partition(": ")[2].partition(":")[0] for each in said] == ["node agent-0", "node agent-1"]


def test_two_servers_are_too_many_also_where_another_value_is_wrong() -> None:
    said = problems(lab(disk="sda", others=[{"name": "server-2", "role": "server", "address": "192.0.2.12"}]))
    assert len(said) == 2
    assert any("2 servers: 2 of them have to be up" in each for each in said)


def test_servers_are_not_counted_where_a_role_is_not_known() -> None:
    said = problems(lab(others=[{"name": "server-2", "role": "sever", "address": "192.0.2.12"}]))
    assert len(said) == 1
    assert "did you mean 'server'?" in said[0]


@pytest.mark.parametrize("node", ["server-2", None, 5, []])
def test_a_node_that_is_no_mapping_does_not_hide_the_rules_about_others(node: Any) -> None:
    said = problems(lab(others=[node, TWIN]))
    assert len(said) == 2
    assert any("two nodes have the name" in each for each in said)


def test_networks_that_overlap_are_said_beside_a_wrong_value() -> None:
    said = problems(lab(cluster={"pod_cidr": "10.0.0.0/9", "service_cidr": "10.96.0.0/16"}, disk="sda"))
    assert len(said) == 2
    assert any("overlap" in each for each in said)


def test_a_key_that_may_have_been_meant_as_the_role_is_not_called_a_missing_server() -> None:
    document = lab(others=[TWIN])
    document["nodes"][0]["rol"] = document["nodes"][0].pop("role")
    said = problems(document)
    assert not [each for each in said if "no node has role: server" in each]
    assert any("did you mean 'role'?" in each for each in said)


def test_a_node_whose_name_is_wrong_is_called_by_its_number() -> None:
    said = problems(lab(others=[{"name": "A b", "address": "10.244.0.5"}]))
    assert any("node number 2's address 10.244.0.5 lies in cluster.pod_cidr" in each for each in said)


def test_a_number_that_yaml_made_of_a_hardware_address_hides_nothing_else() -> None:
    """The likeliest slip of all: YAML reads six numbers with colons as one."""
    document = json.dumps(lab(others=[TWIN], interfaces=["a card"], disk="sda"))
    said = problems(document.replace('"a card"', "{mac: 52:54:00:12:34:56}"))
    assert any("is read as a number that is not written in plain digits" in each for each in said)
    assert any("two nodes have the name" in each for each in said)
    assert any("disk" in each for each in said)
    assert len(said) == 3
