"""An inventory has limits, and whatever a file holds, reading it ends soon and in words."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.inventory.load import InventoryErrors, load_inventory, written_of
from bootstrap.inventory.written_file import positions
from bootstrap.inventory.written_file.bounds import LONGEST_FILE, MOST_NODES, MOST_PROBLEMS, MOST_VALUES
from tests.unit.inventory.reading import FILE, lab, problem, problems, read

GIB = 1 << 30


def bomb(width: int = 9, height: int = 9) -> str:
    """Few bytes whose aliases stand for `width` to the power of `height` values."""
    lines = [f"a0: &a0 [{','.join('x' * width)}]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, height + 1)]
    return "\n".join(lines)


def test_aliases_cost_what_they_stand_for_and_are_stopped() -> None:
    assert len(bomb()) < 600
    assert f"more than {MOST_VALUES:,} values up to here" in problem(bomb())


def test_a_bomb_of_aliases_takes_neither_much_memory_nor_much_time() -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom bootstrap.errors import BadUse\n"
        "from bootstrap.inventory.load import parse_inventory\n"
        "try:\n parse_inventory(Path('x'), sys.stdin.buffer.read())\nexcept BadUse as error:\n print(error.problem)\n"
    )

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (GIB, GIB))
        resource.setrlimit(resource.RLIMIT_CPU, (30, 30))

    done = subprocess.run(
        [sys.executable, "-c", program], input=bomb().encode(), capture_output=True, check=True, preexec_fn=limits
    )
    assert done.stdout == b"1 problem in x\n"


@pytest.mark.parametrize("text", ["a: &a {b: *a}", "a: &a [*a, *a, *a]", "&a [*a]"])
def test_an_alias_of_what_it_stands_in_is_named(text: str) -> None:
    assert "the alias in it refers to what it stands in" in problem(text)


@pytest.mark.parametrize("opens", ["[", "- ", "{a: ", "? "])
def test_what_is_nested_too_deep_is_stopped_at_its_place(opens: str) -> None:
    found = problem(opens * 100_000)
    assert "nested deeper than 16 levels" in found
    assert found.startswith("1:")


def test_aliases_that_nest_deep_are_stopped_as_well() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]
    assert "nested deeper than 16 levels" in problem("\n".join(lines))


def test_more_nodes_than_kubernetes_takes_are_too_many() -> None:
    nodes = [{"name": f"n{n}", "address": f"172.16.{n // 250}.{n % 250 + 1}"} for n in range(MOST_NODES + 1)]
    text = json.dumps({"cluster": {"name": "lab", "pod_cidr": "10.0.0.0/8"}, "nodes": nodes})
    assert "5,001 nodes; allowed: at most 5,000 nodes in a cluster" in problem(text)


def test_values_without_end_are_stopped_before_they_are_built() -> None:
    assert f"more than {MOST_VALUES:,} values" in problem(f"a: [{'1,' * (2 * MOST_VALUES)}]")


def test_a_file_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(BadUse) as refused:
        written_of(FILE, b"#" * (LONGEST_FILE + 1))
    assert "it is longer than 4 MiB" in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_device_that_never_ends_is_too_long() -> None:
    with pytest.raises(BadUse, match="can't be read") as refused:
        load_inventory(Path("/dev/zero"))
    assert "it is longer than 4 MiB" in str(refused.value)


def test_a_pipe_is_read_as_a_file_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(json.dumps(lab())))
    writer.start()
    assert load_inventory(tmp_path / "pipe").cluster.name == "lab"
    writer.join()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("latin.yaml", "name: ü".encode("latin-1"), "byte 6 is not UTF-8"),
        ("utf-16.yaml", "a: b".encode("utf-16"), "byte 0 is not UTF-8"),
        ("folder", None, "this is a folder"),
        ("none.yaml", None, "there is no such file"),
        ("x" * 300, None, "File name too long"),
        ("a\0b", None, "null byte"),
    ],
)
def test_a_file_that_can_t_be_read_is_bad_use(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadUse, match="can't be read") as refused:
        load_inventory(tmp_path / name)
    assert said in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: \0", "1:4: the character U+0000 can't stand in YAML"),
        ("\n\x1b[2J", "2:1: the character U+001B can't stand in YAML"),
        ("cluster: !!python/object:os.system {}", "the tag '!!python/object:os.system' is not read in an inventory"),
        ("cluster: !!python/object/apply:os.system [id]", "the tag '!!python/object/apply:os.system'"),
        ("cluster: {name: !!binary aGVsbG8=}", "the tag '!!binary' is not read"),
        ("cluster: {name: !!timestamp 2001-01-01}", "the tag '!!timestamp' is not read"),
        ("cluster: !!set {a, b}", "the tag '!!set' is not read"),
        ("cluster: !own {}", "the tag '!own' is not read"),
        ("a: {<<: 5}", "1:9: this can't be merged; allowed: a mapping or a list of mappings, as in <<: *shared"),
        ("a: {<<: [{b: 1}, c]}", "this can't be merged"),
        ("a: {<<: {b: 1}, <<: {c: 1}}", "<< stands in this mapping a second time; allowed: one <<"),
        ("a: &x {b: {<<: *x}}", "the alias in it refers to what it stands in"),
        ("a: &x {<<: *x}", "nested deeper"),
        ("? [a]\n: b", "this key is not a single word"),
        ("{a: 1, a: 2}", "1:8: 'a' stands here a second time (first in line 1)"),
        ("a: 1\n--- \nb: 2", "a second document begins here"),
        ("a: *x", "the alias 'x' refers to nothing"),
        ("a: &x 1\nb: &x 2", "the anchor 'x' stands a second time"),
        (f"a: {'9' * 5000}", "is read as a number or a date, and is not one; allowed: text in quotes"),
        ("a: 2001-99-99", "'2001-99-99' is read as a number or a date, and is not one"),
        ("a: !!bool maybe", "'maybe' is read as"),
        ("a: !!int ''", "is read as a number"),
        ("a: !!float x", "is read as a number"),
        ("port: 022", "'022' is read as a number that is not written in plain digits; allowed: plain digits, as in"),
        ("port: 0x16", "'0x16' is read as a number"),
        ("port: 1_000", "'1_000' is read as a number"),
        ("mac: 52:54:00:12:34:56", 'text in quotes, as in "52:54:00:12:34:56"'),
        (f"{'k' * 600}: 1", "a key of 600 characters; allowed: at most 512"),
        ('"a\\nb": 1', "the key 'a\\nb' holds a line break"),
    ],
)
def test_what_yaml_can_say_and_an_inventory_can_t(text: str, said: str) -> None:
    assert any(said in each for each in problems(text))


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan", "1e400", "1.0e+400", "2.5"])
def test_numbers_that_are_not_whole_are_no_ports(number: str) -> None:
    text = f"cluster: {{name: lab}}\nnodes: [{{name: a, role: server, address: 192.0.2.1, ssh: {{port: {number}}}}}]"
    assert "node a: ssh.port: found " in problem(text)


def test_a_date_is_text_that_wants_quotes() -> None:
    assert "found 2001-01-01; allowed: text: put it in quotes" in "\n".join(problems("cluster: {name: 2001-01-01}"))


def test_a_long_file_with_a_mistake_is_read_once() -> None:
    text = f"# {'x' * (positions._READ_TWICE)}\na: ["
    assert "this is not YAML" in problem(text)


def test_problems_without_number_are_counted_and_not_all_shown() -> None:
    nodes = [{"name": f"N{n}", "address": "x"} for n in range(400)]
    with pytest.raises(InventoryErrors) as wrong:
        read({"cluster": {"name": "lab"}, "nodes": nodes})
    lines = str(wrong.value).splitlines()
    assert len(lines) == MOST_PROBLEMS + 2
    assert lines[-2] == f"and {len(wrong.value.problems) - MOST_PROBLEMS} more"


def test_a_node_without_a_name_is_called_by_its_number() -> None:
    assert "node number 1: name is missing" in problem(
        {"cluster": {"name": "lab"}, "nodes": [{"role": "server", "address": "192.0.2.1"}]}
    )


def test_a_long_value_is_shown_short() -> None:
    found = problem(lab(disk="x" * 4000))
    assert len(found) < 300
    assert "..." in found
