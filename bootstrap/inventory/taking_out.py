"""Taking a node's entry out of an inventory's text: its own lines go, every other byte stays.

Which lines those are is read from YAML's tokens. What is left is then read as YAML and compared with what it has to
say: text that can't be cut like that (an anchor that others refer to) is left as it is, for a person to edit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootstrap.errors import BadUse
from bootstrap.inventory.written_file.positions import read_document
from bootstrap.inventory.written_file.spans import Span, commas, dash_before, entries, entry_span, lines_around
from bootstrap.written import rewrite

EVERY_BIT = 0o7777


def without_node(path: Path, content: bytes, name: str) -> bytes:
    """The inventory `content` without the entry of the node `name`; `path` is what messages call the file.

    Comments inside of the entry go with it, those before and after it stay. Raises BadUse that says which lines to
    remove by hand where the entry can't be taken out by itself.
    """
    text = content.decode("utf-8")
    data = read_document(path, text).data
    number = next(number for number, node in enumerate(data["nodes"]) if node["name"] == name)
    own = entry_span(text, entries(text), number)
    for cut in (_own_lines, _between_commas):
        left = _without(text, cut(text, own))
        found = read_document(path, left)
        if not found.problems and found.data == _less(data, number):
            return left.encode("utf-8")
    first, last = (text.count("\n", 0, place) + 1 for place in own)
    raise BadUse(
        f"the entry of {name} can't be taken out of {path} by itself; nothing was done",
        step="inventory",
        tried=f"remove {'line' if first == last else 'lines'} {_lines(first, last)}",
        got="what would be left says something else: others refer to it (an anchor), or it is the only one",
        hint=f"edit {path} yourself (the entry is in {_lines(first, last)}), then: clusterup apply --prune {path}",
    )


def replace_file(path: Path, before: bytes, content: bytes) -> None:
    """Put `content` in the place of `before`, whole or not at all; owner and mode stay. Raises BadUse where somebody
    has edited the file meanwhile, or where it can't be written."""
    try:
        if path.read_bytes() != before:
            raise BadUse(
                f"{path} was edited while this ran; nothing was done",
                step="inventory",
                hint="look at what has changed in it, then run this again",
            )
        rewrite(path, content, kept=EVERY_BIT)
    except OSError as error:
        raise BadUse(
            f"{path} can't be written",
            step="inventory",
            tried="put the edited inventory in its place",
            got=error.strerror or str(error),
            hint="make it and its folder yours, then run this again",
        ) from None


def _own_lines(text: str, own: Span) -> list[Span]:
    """The lines of an entry that begins with a dash."""
    dash = dash_before(text, own[0])
    return [] if dash is None else [lines_around(text, (dash, own[1]))]


def _between_commas(text: str, own: Span) -> list[Span]:
    """An entry in brackets and one of the commas beside it; whole lines where nothing else is on them."""
    begins, ends = own
    between = commas(text)
    after = next((comma for comma in between if comma >= ends), None)
    if after is not None and not _said(text[ends:after]):
        whole = lines_around(text, (begins, after + 1))
        if _alone(text, whole, (begins, after + 1)):
            return [whole]
        blanks = len(text[after + 1 :]) - len(text[after + 1 :].lstrip(" "))
        return [(begins, after + 1 + blanks)]
    before = next((comma for comma in reversed(between) if comma < begins), None)
    if before is None:
        return []
    whole = lines_around(text, (begins, ends))
    if _alone(text, whole, (begins, ends)):
        return [(before, before + 1), whole]
    blanks = begins if _said(text[before + 1 : begins]) or "\n" in text[before:begins] else before + 1
    return [(before, before + 1), (blanks, ends)]


def _alone(text: str, whole: Span, own: Span) -> bool:
    """Whether nothing but blanks and a comment is on the lines beside it."""
    return not text[whole[0] : own[0]].strip("\ufeff \t") and not _said(text[own[1] : whole[1]])


def _said(text: str) -> str:
    """What is in it besides blanks and comments."""
    return "".join(line.partition("#")[0] for line in text.splitlines()).strip()


def _without(text: str, spans: list[Span]) -> str:
    for begins, ends in sorted(spans, reverse=True):
        text = text[:begins] + text[ends:]
    return text


def _less(data: dict[str, Any], number: int) -> dict[str, Any]:
    nodes = data["nodes"]
    return {**data, "nodes": [*nodes[:number], *nodes[number + 1 :]]}


def _lines(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
