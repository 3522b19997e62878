"""What several nodes share: merge keys (<<) and sections of a person's own (x-)."""

from __future__ import annotations

import pytest

from bootstrap.inventory.load import ReadInventory, written_of
from tests.unit.inventory.reading import FILE, problem, problems

START = "cluster: {name: lab}\n"


def read(text: str) -> ReadInventory:
    return written_of(FILE, text.encode())


def test_a_mapping_says_what_is_merged_into_it_and_its_own_keys_win() -> None:
    text = (
        START
        + """\
x-rack: &rack { disk: /dev/sda, labels: { example.org/rack: "7" } }
x-way: &way { ssh: { user: admin }, disk: /dev/sdb }
nodes:
  - { name: server-1, role: server, address: 192.0.2.11, <<: [*rack, *way] }
  - { <<: *rack, name: agent-1, address: 192.0.2.21, disk: /dev/vda }
"""
    )
    server, agent = read(text).inventory.nodes
    assert (server.disk, server.labels, server.ssh.user) == ("/dev/sda", {"example.org/rack": "7"}, "admin")
    assert (agent.disk, agent.labels, agent.ssh.user) == ("/dev/vda", {"example.org/rack": "7"}, None)


def test_what_is_merged_may_merge_others() -> None:
    text = (
        START
        + """\
x-all: &all { user: admin, port: 2222 }
x-far: &far { <<: *all, port: 22 }
nodes: [{ name: server-1, role: server, address: 192.0.2.11, ssh: { <<: *far, silence: 20 } }]
"""
    )
    (node,) = read(text).inventory.nodes
    assert (node.ssh.user, node.ssh.port, node.ssh.silence) == ("admin", 22, 20)


def test_a_mistake_in_what_is_merged_is_said_where_it_stands() -> None:
    text = f"{START}x-rack: &rack {{ disk: sda }}\nnodes: [{{ name: a, role: server, address: 192.0.2.1, <<: *rack }}]"
    assert problem(text).startswith("2:23: node a: disk: found 'sda'; ")


def test_a_mistake_that_two_nodes_share_is_said_of_both() -> None:
    text = f"{START}x-rack: &rack {{ disk: sda }}\nnodes:\n"
    text += "".join(f"- {{ name: n{n}, role: server, address: 192.0.2.{n}, <<: *rack }}\n" for n in (1, 2, 3))
    assert [each.partition(": ")[2].partition(":")[0] for each in problems(text)] == ["node n1", "node n2", "node n3"]


def test_merges_that_mean_more_than_an_inventory_may_hold_are_not_built() -> None:
    lines = ["x-0: &m0 {" + ", ".join(f"k{n}: 1" for n in range(500)) + "}"]
    lines += [f"x-{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 200)}]}}" for n in range(1, 15)]
    assert "more than 200,000 values" in problem("\n".join(lines))


@pytest.mark.parametrize("name", ["x-", "x-rack", "x-a b"])
def test_a_section_of_one_s_own_holds_anything(name: str) -> None:
    text = f'{START}"{name}": [1, {{a: b}}, text]\nnodes: [{{ name: a, role: server, address: 192.0.2.1 }}]'
    assert len(read(text).inventory.nodes) == 1


def test_a_section_of_one_s_own_stands_at_the_top() -> None:
    text = f"{START}nodes: [{{ name: a, role: server, address: 192.0.2.1, x-rack: 7 }}]"
    assert problem(text).endswith(
        "unknown key 'x-rack' in node a; allowed: x- sections of your own at the top of the file"
    )
