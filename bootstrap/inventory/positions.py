"""YAML with positions: plain data beside a map from each place in it to its line and column.

Source: YAML 1.1 as PyYAML reads it (https://pyyaml.org/wiki/PyYAMLDocumentation), except that a key may stand
only once in a mapping.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str | int, ...]


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
        return text


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a file. `places` maps a path into the data to (line, column) of the value, `keys` to that of its
    key."""

    file: Path
    data: Any
    places: dict[Place, tuple[int, int]]
    keys: dict[Place, tuple[int, int]]
    problems: tuple[Problem, ...]

    def at(self, place: Place) -> tuple[int, int]:
        """The position of a value, or of the nearest thing around it that the file has."""
        while place and place not in self.places:
            place = place[:-1]
        return self.places.get(place, (1, 1))

    def key_at(self, place: Place) -> tuple[int, int]:
        """The position of a key."""
        return self.keys.get(place) or self.at(place)


def read_document(file: Path, text: str) -> Document:
    """Read YAML; what is wrong with it as YAML is in the document's problems."""
    reader = _Reader(file)
    try:
        node = _composed(text)
        data = reader.read(node, ()) if node is not None else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return Document(file, None, {}, {}, (_syntax(file, error),))
    return Document(file, data, reader.places, reader.keys, tuple(reader.problems))


def _composed(text: str) -> yaml.Node | None:
    """The document's nodes with their positions. Raises what PyYAML raises."""
    quick = getattr(yaml, "CSafeLoader", None)
    if quick is not None:
        # Its own words about mistakes are not as good: those are read once more.
        with suppress(yaml.YAMLError):
            return yaml.compose(text, Loader=quick)
    return yaml.compose(text, Loader=yaml.SafeLoader)


class _Reader:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.places: dict[Place, tuple[int, int]] = {}
        self.keys: dict[Place, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._loader = yaml.SafeLoader("")

    def read(self, node: yaml.Node, place: Place) -> Any:
        self.places[place] = _position(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*place, number)) for number, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            position = _position(key_node)
            if key in data:
                first = self.keys[(*place, key)]
                self.problems.append(
                    Problem(self.file, *position, f"{key!r} stands here a second time (first in line {first[0]})")
                )
            else:
                self.keys[(*place, key)] = position
                data[key] = self.read(value_node, (*place, key))
        return data


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax(file: Path, error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Problem(file, line, column, f"this is no YAML: {said}")
