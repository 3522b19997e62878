"""Taking a node's entry out of an inventory's text."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.inventory.taking_out import replace_file, without_node

FILE = Path("lab.yaml")
BLOCK = """\
# The lab in the cellar.
cluster: {name: lab}  # one word

nodes:
  # The old one.
  - name: s1
    role: server
    address: 10.0.0.1

  # Bought in May.
  - name: s2   # second from the left
    address: 10.0.0.2
    labels:
      disk: ssd   # a fast one

  # No one knows.
  - address: 10.0.0.3
    name: s3
    ntp:
      - 10.0.0.9
# The end.
"""


def without(text: str, name: str) -> str:
    return without_node(FILE, text.encode(), name).decode()


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("s1", "  - name: s1\n    role: server\n    address: 10.0.0.1\n"),
        (
            "s2",
            "  - name: s2   # second from the left\n    address: 10.0.0.2\n    labels:\n"
            "      disk: ssd   # a fast one\n",
        ),
        ("s3", "  - address: 10.0.0.3\n    name: s3\n    ntp:\n      - 10.0.0.9\n"),
    ],
)
def test_an_entry_s_own_lines_go_and_every_other_byte_stays(name: str, gone: str) -> None:
    assert without(BLOCK, name) == BLOCK.replace(gone, "")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("nodes:\n- name: a\n  address: x\n- name: b\n", "nodes:\n- name: b\n"),
        ("nodes:\n- name: b\n- name: a", "nodes:\n- name: b\n"),
        ("nodes:\n-\n  name: a\n-\n  name: b\n", "nodes:\n-\n  name: b\n"),
        ("nodes:\r\n- name: a\r\n- name: b\r\nos: {}\r\n", "nodes:\r\n- name: b\r\nos: {}\r\n"),
        ("nodes:\n- name: a\n  key: |\n    two\n    lines\n- name: b\n", "nodes:\n- name: b\n"),
        ("nodes:\n- name: b\n- name: a\n  key: |\n    two\n    lines\n\nos: {}\n", "nodes:\n- name: b\n\nos: {}\n"),
        ("nodes:\n- name: a\n  disk:\n- name: b\n", "nodes:\n- name: b\n"),
        ("nodes:\n- {name: a, labels: {x: y}}  # old\n- {name: b}\n", "nodes:\n- {name: b}\n"),
        ("nodes: [{name: a}, {name: b}]\n", "nodes: [{name: b}]\n"),
        ("nodes: [{name: b}, {name: a}]\n", "nodes: [{name: b}]\n"),
        ("nodes: [{name: b}, {name: a}, ]\n", "nodes: [{name: b}, ]\n"),
        ('{"nodes": [{"name": "b"}, {"name": "a"}], "os": {}}', '{"nodes": [{"name": "b"}], "os": {}}'),
        ("nodes: [\n  {name: a},  # old\n  # new\n  {name: b},\n]\n", "nodes: [\n  # new\n  {name: b},\n]\n"),
        ("nodes: [\n  {name: b},  # new\n  {name: a}  # old\n]\n", "nodes: [\n  {name: b}  # new\n]\n"),
        (
            '{\n "nodes": [\n  {\n   "name": "b"\n  },\n  {\n   "name": "a"\n  }\n ]\n}\n',
            '{\n "nodes": [\n  {\n   "name": "b"\n  }\n ]\n}\n',
        ),
        ("\ufeffnodes:\n- name: a\n- name: b\n", "\ufeffnodes:\n- name: b\n"),
        ("nodes: # ü\n- name: a # ä\n- name: b # ö\n", "nodes: # ü\n- name: b # ö\n"),
        ("x: &s {y: z}\nnodes:\n- name: a\n  ssh: *s\n- name: b\n", "x: &s {y: z}\nnodes:\n- name: b\n"),
    ],
)
def test_whatever_way_it_is_written(text: str, left: str) -> None:
    assert without(text, "a") == left


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("nodes:\n- name: a\n  ssh: &s {user: me}\n- name: b\n  ssh: *s\n", "2 to 3"),
        ("nodes:\n- name: b\n- name: a\n  labels: &l\n    x: y\nmore: *l\n", "3 to 5"),
        ("nodes:\n- name: a\n", "2"),
    ],
    ids=["the next one refers to it", "something else refers to it", "it is the only one"],
)
def test_what_can_t_be_taken_out_by_itself_is_left_to_a_person_who_is_told_the_lines(text: str, lines: str) -> None:
    with pytest.raises(BadUse, match="can't be taken out of") as refused:
        without(text, "a")
    assert f"the entry is in {lines})" in refused.value.hint


def test_the_file_keeps_its_mode_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file, link = tmp_path / "lab.yaml", tmp_path / "link.yaml"
    file.write_bytes(b"before")
    file.chmod(0o640)
    link.symlink_to(file)
    replace_file(link, b"before", b"after")
    assert link.is_symlink()
    assert file.read_bytes() == b"after"
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lab.yaml", "link.yaml"]


def test_a_file_that_was_edited_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_bytes(b"edited")
    with pytest.raises(BadUse, match="was edited while this ran"):
        replace_file(file, b"before", b"after")
    assert file.read_bytes() == b"edited"
