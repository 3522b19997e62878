"""YAML with positions: plain data beside a map from each place in it to its line and column.

Source: YAML 1.1 as PyYAML reads it (https://pyyaml.org/wiki/PyYAMLDocumentation), except that a key may stand
only once in a mapping, that there are no tags, and that numbers are decimal. Nothing is built beyond the
limits of `bootstrap.inventory.written_file.bounds`: an alias costs as much as what it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.reader import Reader

from bootstrap.inventory.text import looks_private, printable, shown, unprintable_in
from bootstrap.inventory.written_file.bounds import DEEPEST, LONGEST_KEY, MOST_NODES, MOST_VALUES
from bootstrap.inventory.written_file.merges import Merges

KeyPath = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
# `=` is a word like any other here.
_TEXT = (f"{_TAG}str", f"{_TAG}value", "!")
# What is text here although it looks like a number: 1.36, and 1.40, which is not 1.4.
_TEXTS: tuple[KeyPath, ...] = (("kubernetes", "version"),)
_PLAIN = ("null", "bool", "int", "float", "timestamp")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
# PyYAML in Python has the better words about mistakes, and takes seconds for each of these.
_READ_TWICE = 256 << 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (lines and columns count from 1), what was found, what is allowed, and the
    nearest thing that would have been right."""

    file: Path
    line: int
    column: int
    found: str
    allowed: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.found}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.nearest:
            text += f"; did you mean {self.nearest!r}?"
        return printable(text)


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a file. `places` maps a path into the data to (line, column) of the value, `keys` to that of its
    key; `raw` is how values are written that are not text, as in yes for True."""

    file: Path
    data: Any
    places: dict[KeyPath, tuple[int, int]]
    keys: dict[KeyPath, tuple[int, int]]
    problems: tuple[Problem, ...]
    raw: dict[KeyPath, str] = field(default_factory=dict)
    # Whether what is wrong is the structure, so that the rest was not read as it is meant.
    structural: bool = True

    def at(self, place: KeyPath) -> tuple[int, int]:
        """The position of a value, or of the nearest thing around it that the file has."""
        while place and place not in self.places:
            place = place[:-1]
        return self.places.get(place, (1, 1))

    def key_at(self, place: KeyPath) -> tuple[int, int]:
        """The position of a key."""
        return self.keys.get(place) or self.at(place)


class _Stop(Exception):
    """Nothing more is read."""

    def __init__(self, position: tuple[int, int], found: str, allowed: str) -> None:
        super().__init__(found)
        self.position = position
        self.found = found
        self.allowed = allowed


def read_document(file: Path, text: str) -> Document:
    """Read YAML; what is wrong with it as YAML is in the document's problems."""
    reader = _Reader(file)
    try:
        _check_characters(text)
        node = _composed(text)
        data = reader.read(node, (), ()) if node is not None else None
    except _Stop as stop:
        return Document(file, None, {}, {}, (Problem(file, *stop.position, stop.found, stop.allowed),))
    except yaml.YAMLError as error:
        return Document(file, None, {}, {}, (_syntax(file, error),))
    problems = tuple(dict.fromkeys(reader.problems))
    return Document(file, data, reader.places, reader.keys, problems, reader.raw, structural=reader.structural)


def _check_characters(text: str) -> None:
    found = Reader.NON_PRINTABLE.search(text)
    if found is None:
        return
    line, column = text.count("\n", 0, found.start()), found.start() - (text.rfind("\n", 0, found.start()) + 1)
    said = unprintable_in(found[0]) or f"the character U+{ord(found[0]):04X}"
    raise _Stop((line + 1, column + 1), f"{said} can't stand in YAML", "printable text: is this the right file?")


def _composed(text: str) -> yaml.Node | None:
    """The document's nodes with their positions. Raises _Stop, and what PyYAML raises."""
    quick = getattr(yaml, "CSafeLoader", None)
    if quick is not None:
        try:
            return _Composer().compose(yaml.parse(text, Loader=quick))
        except yaml.YAMLError:
            if len(text) > _READ_TWICE:
                raise
    return _Composer().compose(yaml.parse(text, Loader=yaml.SafeLoader))


class _Composer:
    """Nodes out of events, without recursion, and no more of them than an inventory may have."""

    def __init__(self) -> None:
        self._resolver = yaml.SafeLoader("")
        self._anchors: dict[str, yaml.Node] = {}
        self._open: list[yaml.CollectionNode] = []
        # Of each mapping that is open, the key whose value has not come yet.
        self._keys: list[yaml.Node | None] = []
        self._root: yaml.Node | None = None

    def compose(self, events: Iterator[yaml.Event]) -> yaml.Node | None:
        documents, count = 0, 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Stop(_position(event), "a second document begins here", "one document, without a second ---")
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
                self._keys.pop()
            elif isinstance(event, yaml.NodeEvent):
                count += 1
                if count > MOST_VALUES:
                    _too_many(event)
                self._take(event)
        return self._root

    def _take(self, event: yaml.NodeEvent) -> None:
        if isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            if name not in self._anchors:
                said = f"the alias {shown(name)} refers to nothing"
                raise _Stop(_position(event), said, f"an anchor before it: &{name[:LONGEST_KEY]}")
            self._put(self._anchors[name])
            return
        node = self._node(event)
        if event.anchor is not None:
            if event.anchor in self._anchors:
                raise _Stop(_position(event), f"the anchor {shown(event.anchor)} stands a second time", "one each")
            self._anchors[event.anchor] = node
        self._put(node)
        if isinstance(node, yaml.CollectionNode):
            self._open.append(node)
            self._keys.append(None)
            if len(self._open) > DEEPEST:
                _too_deep(event)

    def _node(self, event: Any) -> yaml.Node:
        marks = event.start_mark, event.end_mark
        if isinstance(event, yaml.ScalarEvent):
            return yaml.ScalarNode(self._tag(event, yaml.ScalarNode, event.value), event.value, *marks)
        kind = yaml.SequenceNode if isinstance(event, yaml.SequenceStartEvent) else yaml.MappingNode
        return kind(self._tag(event, kind, None), [], *marks)

    def _tag(self, event: Any, kind: type[yaml.Node], text: str | None) -> str:
        if event.tag is None or event.tag == "!":
            return str(self._resolver.resolve(kind, text, event.implicit))  # type: ignore[no-untyped-call]
        _check_tag(event.tag, event)
        return str(event.tag)

    def _put(self, node: yaml.Node) -> None:
        if not self._open:
            self._root = node
        elif isinstance(self._open[-1], yaml.SequenceNode):
            self._open[-1].value.append(node)
        elif (key := self._keys[-1]) is None:
            self._keys[-1] = node
        else:
            self._open[-1].value.append((key, node))
            self._keys[-1] = None


class _Reader:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.places: dict[KeyPath, tuple[int, int]] = {}
        self.keys: dict[KeyPath, tuple[int, int]] = {}
        self.raw: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self.structural = False
        self._loader = yaml.SafeLoader("")
        self._merges = Merges(self._wrong, too_many=_too_many, too_deep=_too_deep)

    def read(self, node: yaml.Node, place: KeyPath, around: tuple[int, ...]) -> Any:
        """What a node says. `around` are the nodes that it is in, by their ids."""
        if len(self.places) + len(self.keys) >= MOST_VALUES:
            _too_many(node)
        self.places[place] = _position(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        if id(node) in around:
            raise _Stop(_position(node), "the alias in it refers to what it stands in", "an alias of something else")
        if len(around) >= DEEPEST:
            _too_deep(node)
        inside = (*around, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, inside)
        return [self.read(item, (*place, number), inside) for number, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, place: KeyPath, inside: tuple[int, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in self._merges.pairs(node):
            key, position = key_node.value, _position(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(key_node, "this key is not a single word", "text before the colon, as in name: server-1")
            elif len(key) > LONGEST_KEY:
                self._wrong(key_node, f"a key of {len(key)} characters", f"at most {LONGEST_KEY}")
            elif (char := unprintable_in(key)) is not None:
                self._wrong(key_node, f"the key {shown(key)} holds {char}", "printable characters on one line")
            elif key in data:
                first = self.keys[(*place, key)]
                self._wrong(key_node, f"{shown(key)} stands here a second time (first in line {first[0]})", "")
            else:
                self.keys[(*place, key)] = position
                data[key] = self.read(value_node, (*place, key), inside)
        return data

    def _scalar(self, node: yaml.ScalarNode, place: KeyPath) -> Any:
        text: str = node.value
        if node.tag in _TEXT or (place in _TEXTS and node.tag == f"{_TAG}float"):
            return text
        self.raw[place] = text
        kind = node.tag.removeprefix(_TAG)
        if kind == "int" and not _DECIMAL.fullmatch(text):
            self._wrong_value(
                node,
                f"{shown(text)} is read as a number that is not written in plain digits",
                f'plain digits, as in 22, or text in quotes, as in "{printable(text[:20])}"',
            )
            return None
        if kind in _PLAIN:
            try:
                return self._loader.construct_object(node)
            except (ValueError, LookupError, AttributeError, OverflowError):
                # Beyond what numbers and dates can be, or no such thing at all where a tag says that it is one.
                pass
        self._wrong_value(
            node, f"{shown(text)} is read as a number or a date, and is not one", f'text in quotes, as in "{text[:20]}"'
        )
        return None

    def _wrong(self, node: yaml.Node, found: str, allowed: str) -> None:
        self.structural = True
        self._wrong_value(node, found, allowed)

    def _wrong_value(self, node: yaml.Node, found: str, allowed: str) -> None:
        self.problems.append(Problem(self.file, *_position(node), found, allowed))


def _check_tag(tag: str, event: yaml.NodeEvent) -> None:
    allowed = {
        yaml.SequenceStartEvent: ("seq",),
        yaml.MappingStartEvent: ("map",),
        yaml.ScalarEvent: ("str", *(kind for kind in _PLAIN if kind != "timestamp")),
    }[type(event)]
    if tag.removeprefix(_TAG) not in allowed:
        named = tag.replace(_TAG, "!!", 1)
        raise _Stop(
            _position(event),
            f"the tag {shown(named)} is not read in an inventory",
            "plain text, numbers, lists and mappings: leave the tag out",
        )


def _too_many(where: yaml.Node | yaml.Event) -> NoReturn:
    raise _Stop(
        _position(where),
        f"more than {MOST_VALUES:,} values up to here, with what aliases stand for counted as often as it is used",
        f"an inventory of at most {MOST_NODES:,} nodes; write without aliases what is repeated without need",
    )


def _too_deep(where: yaml.Node | yaml.Event) -> NoReturn:
    raise _Stop(_position(where), f"this is nested deeper than {DEEPEST} levels", "an inventory needs seven")


def _position(node: Any) -> tuple[int, int]:
    """Where a node or an event begins."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax(file: Path, error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = getattr(error, "problem", None) or str(error).splitlines()[0]
    private = looks_private(said)
    return Problem(file, line, column, "this is not YAML" + ("" if private else f": {said[:200]}"))
