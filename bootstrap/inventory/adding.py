"""Adding to an inventory's text: a node's entry behind the others, a setting of the cluster; every other byte stays.

Where they go is read from YAML's tokens. What comes of it is then read as YAML and compared with what it has to say:
text that nothing can be added to like that is left as it is, for a person to edit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bootstrap.errors import BadUse
from bootstrap.inventory.written_file.positions import read_document
from bootstrap.inventory.written_file.spans import commas, dash_before, entries, entry_span, lines_around, section

# No line of an entry is broken: a public key is one word to who copies it.
WIDTH = 10_000
EVEN = "allow_even_servers"


def with_node(path: Path, content: bytes, entry: Mapping[str, Any]) -> bytes:
    """The inventory `content` with one more node behind the others, in the style of the last one; `path` is what
    messages call the file.

    Raises BadUse that says what to write where nothing can be added by itself.
    """
    text = content.decode("utf-8")
    data = read_document(path, text).data
    wanted = {**data, "nodes": [*data["nodes"], dict(entry)]}
    there = entries(text)
    number = len(there.value) - 1
    begins, ends = entry_span(text, there, number)
    added: str | None
    if there.flow_style:
        added = _in_brackets(text, there, begins, ends, json.dumps(entry))
    else:
        added = _with_a_dash(text, begins, ends, _block(entry))
    if added is None or not _says(path, added, wanted):
        raise _by_hand(path, f"the entry of {entry['name']}", "add to `nodes:`", json.dumps(entry))
    return added.encode("utf-8")


def with_even_servers(path: Path, content: bytes) -> bytes:
    """The inventory `content` with an even number of servers allowed. Raises BadUse as `with_node` does."""
    text = content.decode("utf-8")
    data = read_document(path, text).data
    added = _allowing(text)
    if added is None or not _says(path, added, {**data, "cluster": {**data["cluster"], EVEN: True}}):
        raise _by_hand(path, f"cluster.{EVEN}", "write below `cluster:`", f"{EVEN}: true")
    return added.encode("utf-8")


def _with_a_dash(text: str, begins: int, ends: int, block: list[str]) -> str | None:
    dash = dash_before(text, begins)
    if dash is None:
        return None
    _, after = lines_around(text, (dash, ends))
    newline = "\r\n" if "\r\n" in text else "\n"
    blanks = text[text.rfind("\n", 0, dash) + 1 : dash].lstrip("\ufeff")
    if blanks.strip():
        return None
    lines = "".join(f"{blanks}{'  ' if number else '- '}{line}{newline}" for number, line in enumerate(block))
    before = text[:after]
    return before + ("" if before.endswith("\n") else newline) + lines + text[after:]


def _in_brackets(text: str, there: yaml.SequenceNode, begins: int, ends: int, flow: str) -> str:
    closes = there.end_mark.index - len("]")
    comma = next((place for place in commas(text) if ends <= place < closes), None)
    line = text.rfind("\n", 0, begins) + 1
    blanks = text[line:begins]
    gap = " " if blanks.strip() or not line else f"\n{blanks}"
    if comma is not None:
        return text[: comma + 1] + gap + flow + text[comma + 1 :]
    return text[:ends] + "," + gap + flow + text[ends:]


def _block(entry: Mapping[str, Any]) -> list[str]:
    dumped: str = yaml.safe_dump(dict(entry), sort_keys=False, default_flow_style=False, width=WIDTH)
    return dumped.splitlines()


def _allowing(text: str) -> str | None:
    cluster = section(text, "cluster")
    if not isinstance(cluster, yaml.MappingNode) or not cluster.value:
        return None
    for key, value in cluster.value:
        if key.value == EVEN:
            return text[: value.start_mark.index] + "true" + text[value.end_mark.index :]
    first = cluster.value[0][0]
    begins = first.start_mark.index
    if cluster.flow_style:
        name = json.dumps(EVEN) if first.style == '"' else EVEN
        return text[:begins] + f"{name}: true, " + text[begins:]
    blanks = text[text.rfind("\n", 0, begins) + 1 : begins]
    newline = "\r\n" if "\r\n" in text else "\n"
    return text[:begins] + f"{EVEN}: true{newline}{blanks}" + text[begins:]


def _says(path: Path, text: str, wanted: Mapping[str, Any]) -> bool:
    found = read_document(path, text)
    return not found.problems and found.data == wanted


def _by_hand(path: Path, what: str, where: str, text: str) -> BadUse:
    return BadUse(
        f"{what} can't be added to the inventory by itself; nothing was done",
        step="inventory",
        tried=f"{where}: {text}",
        got="what would come of it says something else: it is written in a way that nothing can be added to (an alias)",
        hint=f"have the cluster's operator add it to {path} and apply",
    )
