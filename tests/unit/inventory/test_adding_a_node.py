"""Adding a node's entry to an inventory's text, and a setting of the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.errors import BadUse
from bootstrap.inventory.adding import with_even_servers, with_node

FILE = Path("lab.yaml")
ENTRY: dict[str, Any] = {
    "name": "s2",
    "role": "server",
    "address": "10.0.0.2",
    "taints": [{"key": "a", "effect": "NoSchedule"}],
    "ssh": {"host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZlZWRiZWVmRmVlZGJlZWZGZWVkYmVlZkZlZWRiZWVm"},
}
OWN_LINES = """\
- name: s2
  role: server
  address: 10.0.0.2
  taints:
  - key: a
    effect: NoSchedule
  ssh:
    host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZlZWRiZWVmRmVlZGJlZWZGZWVkYmVlZkZlZWRiZWVm
"""


def indented(by: int) -> str:
    return "".join(" " * by + line for line in OWN_LINES.splitlines(keepends=True))


def added(text: str) -> str:
    return with_node(FILE, text.encode(), ENTRY).decode()


@pytest.mark.parametrize("by", [0, 2, 4])
def test_it_gets_lines_of_its_own_behind_the_last_one_as_far_to_the_right(by: int) -> None:
    blanks = " " * by
    entry = f"{blanks}- name: s1  # old\n{blanks}  labels:\n{blanks}    a: b # c\n"
    before = f"# A lab.\ncluster: {{name: lab}}\n\nnodes:\n{entry}"
    after = "\n# The end.\nos: {}\n"
    assert added(before + after) == before + indented(by) + after


def test_a_last_line_without_an_end_gets_one() -> None:
    assert added("nodes:\n  - name: s1") == "nodes:\n  - name: s1\n" + indented(2)


def test_lines_end_as_the_others_do() -> None:
    assert added("nodes:\r\n- name: s1\r\n") == "nodes:\r\n- name: s1\r\n" + OWN_LINES.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nodes: [{name: s1}]  # one\n", "nodes: [{name: s1}, NEW]  # one\n"),
        ("nodes: [{name: s1}, ]\n", "nodes: [{name: s1}, NEW ]\n"),
        ("nodes: [\n  {name: s1}  # one\n]\n", "nodes: [\n  {name: s1},\n  NEW  # one\n]\n"),
        ('{"nodes": [{"name": "s1"}], "os": {}}\n', '{"nodes": [{"name": "s1"}, NEW], "os": {}}\n'),
    ],
)
def test_in_brackets_it_stands_behind_a_comma(text: str, wanted: str) -> None:
    assert added(text) == wanted.replace("NEW", json.dumps(ENTRY))


def test_json_stays_json() -> None:
    text = json.dumps({"cluster": {"name": "lab"}, "nodes": [{"name": "s1"}]}, indent=1)
    found = json.loads(with_even_servers(FILE, added(text).encode()))
    assert found == {"cluster": {"name": "lab", "allow_even_servers": True}, "nodes": [{"name": "s1"}, ENTRY]}


def test_what_nothing_can_be_added_to_by_itself_is_left_to_a_person() -> None:
    with pytest.raises(BadUse, match="the entry of s2 can't be added") as refused:
        added("defaults: &all [{name: s1}]\nnodes: *all\n")
    assert json.dumps(ENTRY) in str(refused.value)
    assert "have the cluster's operator add it" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "cluster:\n  # Ours.\n  name: lab # x\n",
            "cluster:\n  # Ours.\n  allow_even_servers: true\n  name: lab # x\n",
        ),
        ("cluster: { name: lab}  # x\n", "cluster: { allow_even_servers: true, name: lab}  # x\n"),
        ("cluster:\n  allow_even_servers: no  # odd\n", "cluster:\n  allow_even_servers: true  # odd\n"),
    ],
)
def test_an_even_number_of_servers_is_allowed_in_the_cluster_s_own_section(text: str, wanted: str) -> None:
    assert with_even_servers(FILE, text.encode()).decode() == wanted


def test_a_section_that_others_share_is_left_to_a_person() -> None:
    text = "os: &all {name: lab}\ncluster: *all\n"
    with pytest.raises(BadUse, match="allow_even_servers can't be added"):
        with_even_servers(FILE, text.encode())
    assert yaml.safe_load(text)["os"] == {"name": "lab"}
