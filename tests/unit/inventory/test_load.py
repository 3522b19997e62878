"""Reading inventories: what is right, and everything that can be wrong."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootstrap.errors import BadUse
from bootstrap.inventory.load import InventoryErrors, load_inventory
from bootstrap.inventory.model import Inventory

ROOT = Path(__file__).parents[3]
SAMPLES = sorted([*(ROOT / "inventories").glob("*.yaml"), ROOT / "templates" / "inventory" / "inventory.yaml"])
GOOD = """\
cluster:
  name: lab
nodes:
  - name: s1
    role: server
    address: 10.0.0.1
    disk: serial:A
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "i.yaml"
    file.write_text(dedent(text))
    with pytest.raises(InventoryErrors) as wrong:
        load_inventory(file)
    return [str(problem).removeprefix(f"{file}:") for problem in wrong.value.problems]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_every_sample_works_as_it_stands(sample: Path) -> None:
    assert load_inventory(sample).servers
    jsonschema.validate(yaml.safe_load(sample.read_text()), Inventory.model_json_schema())


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"cluster": {"nam": "x"}, "nodes": []}, Inventory.model_json_schema())


def test_a_typo_is_reported_at_its_key_with_the_nearest_valid_one(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD.replace("    disk:", "    dsik:"))
    assert problem.startswith("7:5: unknown key 'dsik' in node s1; allowed: address, architecture, console,")
    assert problem.endswith("did you mean 'disk'?")


def test_everything_that_is_wrong_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
        cluster:
          name: Not_A_Label
        nodes:
          - name: s1
            role: sever
            address: 10.0.0.300
        """,
    )
    assert [problem.split(": ")[0] for problem in found] == ["2:9", "5:11", "6:14"]
    assert found[1].endswith("did you mean 'server'?")


def test_labels_and_taints_that_a_node_can_t_have_are_reported_at_their_place(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
        cluster: {name: lab}
        nodes:
          - name: s1
            role: server
            address: 10.0.0.1
            labels:
              disk: ssd
              two words: x
              example.com/rack: "r 1"
            taints:
              - {key: "a,b", value: "yes", effect: NoSchedule}
        """,
    )
    assert [problem.split(": ")[0] for problem in found] == ["8:7", "9:25", "11:15"]


def test_an_agent_can_t_be_told_to_run_no_pods_and_a_server_not_both_things_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
        cluster: {name: lab}
        nodes:
          - name: s1
            role: server
            address: 10.0.0.1
            schedulable: true
            taints:
              - {key: node-role.kubernetes.io/control-plane, effect: NoSchedule}
          - name: a1
            address: 10.0.0.2
            schedulable: false
        """,
    )
    assert [problem.split(": ")[0] for problem in found] == ["6:5", "11:5"]
    assert "s1 is schedulable: true, and has the taint node-role.kubernetes.io/control-plane" in found[0]
    assert "a1 is an agent: agents are there to run pods; allowed: schedulable of servers" in found[1]
    assert "{ key: dedicated, value: batch, effect: NoSchedule }" in found[1]


def test_defaults_that_would_keep_pods_away_from_an_agent_are_reported_there(tmp_path: Path) -> None:
    text = """\
        cluster: {name: lab}
        defaults: {schedulable: false}
        nodes:
          - {name: s1, role: server, address: 10.0.0.1}
          - {name: a1, address: 10.0.0.2}
        """
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("2:12: schedulable: false, and a1 is an agent")


def test_a_missing_key_is_reported_where_it_should_stand(tmp_path: Path) -> None:
    found = problems(tmp_path, "cluster: {name: lab}\nnodes:\n  - role: server\n    address: 10.0.0.1\n")
    assert found[0].startswith("3:5: node number 1: name is missing")


def test_a_word_that_yaml_takes_for_a_truth_value_should_be_quoted(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD + "    labels: {fast: yes}\n")
    assert "8:20: node s1: labels.fast: found yes (read as True); allowed: text: put it in quotes" in problem


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD + "    disk: /dev/vda\n")
    assert problem == "8:5: 'disk' stands here a second time (first in line 7)"


@pytest.mark.parametrize("text", ["a: [", "a:\n\t- b", "{", "*x", "!!python/object:os.system {}", "a: 0o9_x: ["])
def test_what_is_no_yaml_is_reported_with_its_place(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


@pytest.mark.parametrize("text", ["", "- a", "word", "# nothing\n"])
def test_what_is_no_mapping_is_no_inventory(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert "not an inventory" in problem


def two(first: str = "", second: str = "", cluster: str = "allow_even_servers: true") -> str:
    return f"""\
cluster:
  name: lab
  {cluster}
nodes:
  - {{role: server, name: s1, address: 10.0.0.1, {first}}}
  - {{role: server, name: s2, address: 10.0.0.2, {second}}}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (two().replace("s2", "s1"), "two nodes have the name 's1' (first in line 5)"),
        (two().replace("0.2", "0.1"), "two nodes have the address '10.0.0.1'"),
        (two("disk: 'serial:X'", "disk: 'serial:X'"), "two nodes have the disk 'serial:X'"),
        (
            two("interfaces: [{mac: '52:54:00:00:00:aa'}]", "interfaces: [{mac: '52:54:00:00:00:AA'}]"),
            "two cards have the hardware address 52:54:00:00:00:aa",
        ),
        (two(cluster="domain: x"), "2 servers: 2 of them have to be up, so that 0 may fail, no more than with 1"),
        (GOOD.replace("server", "agent"), "no node has role: server"),
        (two().replace("10.0.0.2", "10.244.0.2"), "s2's address 10.244.0.2 lies in cluster.pod_cidr"),
        (GOOD.replace("name: lab", "name: lab\n  pod_cidr: 10.96.0.0/12"), "overlap"),
        (GOOD.replace("name: lab", "name: lab\n  pod_cidr: 10.1.0.0/25"), "no /24 for each node"),
    ],
)
def test_rules_between_two_places_are_kept(tmp_path: Path, text: str, message: str) -> None:
    assert message in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize("written", ["1.36", "1.40", "1.36.2", '"1.36"'])
def test_a_version_of_kubernetes_needs_no_quotes(tmp_path: Path, written: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(GOOD + f"kubernetes: {{version: {written}}}\n")
    assert load_inventory(file).kubernetes.version == written.strip('"')


def test_an_even_number_of_servers_is_allowed_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(two())
    assert len(load_inventory(tmp_path / "i.yaml").servers) == 2


def test_two_nodes_may_have_disks_of_one_name_in_dev(tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(two("disk: /dev/sda", "disk: /dev/sda"))
    assert len(load_inventory(tmp_path / "i.yaml").nodes) == 2


def test_a_node_s_own_value_wins_over_the_defaults_and_labels_are_merged(tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(
        GOOD
        + "    labels: {b: own}\n    ssh: {port: 2222}\n"
        + "defaults:\n  disk: /dev/sda\n  labels: {a: default, b: default}\n  ssh: {user: me, port: 22}\n  ntp: [t]\n"
    )
    (node,) = load_inventory(tmp_path / "i.yaml").nodes
    assert node.disk == "serial:A"
    assert node.labels == {"a": "default", "b": "own"}
    assert (node.ssh.user, node.ssh.port) == ("me", 2222)
    assert node.ntp == ("t",)


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="can't be read") as wrong:
        load_inventory(tmp_path / "none.yaml")
    assert "clusterup init" in str(wrong.value)


def test_a_folder_is_no_inventory(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="can't be read"):
        load_inventory(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: (GOOD + text).encode())))
def test_whatever_a_file_holds_it_is_an_inventory_or_a_clear_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "i.yaml"
    file.write_bytes(content)
    try:
        assert load_inventory(file).nodes
    except BadUse as error:
        assert str(file) in str(error)


def test_a_console_that_no_line_leads_to_is_reported_with_the_forms_there_are(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD + "    console: { url: ttyUSB0 }\n")
    assert problem.startswith("8:21: node s1: console.url: found 'ttyUSB0'; allowed: /dev/ttyUSB0, socket://HOST:PORT,")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("parity: odds", "parity: found 'odds'; allowed: 'none', 'even' or 'odd'; did you mean 'odd'?"),
        ("baud: fast", "node s1: console.baud: found 'fast'; allowed: a whole number without quotes, as in 115200"),
        ("password_from: secret", "password_from: found a text that is not shown here; allowed: env:NAME,"),
        ("speed: 9600", "unknown key 'speed' in node s1: console"),
    ],
)
def test_settings_of_a_console_are_checked(tmp_path: Path, line: str, said: str) -> None:
    (problem,) = problems(tmp_path, GOOD + f"    console:\n      url: /dev/ttyS0\n      {line}\n")
    assert problem.startswith("10:")
    assert said in problem


@pytest.mark.parametrize("port", [0, 65536])
def test_a_console_servers_port_is_one(tmp_path: Path, port: int) -> None:
    (problem,) = problems(tmp_path, GOOD + f"    console: {{ url: 'telnet://h:{port}' }}\n")
    assert problem.endswith("allowed: a port from 1 to 65535")


def test_settings_of_a_console_come_from_the_defaults_and_its_line_does_not(tmp_path: Path) -> None:
    text = "defaults:\n  console: { baud: 9600, user: admin }\n" + GOOD + "    console: { url: /dev/ttyS0, user: me }\n"
    (tmp_path / "i.yaml").write_text(text)
    console = load_inventory(tmp_path / "i.yaml").nodes[0].console
    assert (console.url, console.baud, console.user) == ("/dev/ttyS0", 9600, "me")
    (problem,) = problems(tmp_path, "defaults:\n  console: { url: /dev/ttyS0 }\n" + GOOD)
    assert problem == "2:14: a line leads to one machine; allowed: console.url of each node"
    (problem,) = problems(tmp_path, GOOD + "    console: { baud: 9600 }\n")
    assert problem == "8:5: s1's console has no url; allowed: console.url as well"


def test_a_line_leads_to_one_node_however_it_is_written(tmp_path: Path) -> None:
    second = "  - { name: a1, address: 10.0.0.2, console: { url: 'rfc2217://H:7001' } }\n"
    (problem,) = problems(tmp_path, GOOD + "    console: { url: 'telnet://h:7001' }\n" + second)
    assert "two nodes have the console 'rfc2217://H:7001' (first in line 8)" in problem
