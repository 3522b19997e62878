"""Reading an inventory: everything that is wrong with it is reported at once, each with its place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bootstrap.errors import BadUse
from bootstrap.inventory.model import Inventory, Node, NodeSettings
from bootstrap.inventory.partly import Partly, partly_right
from bootstrap.inventory.rules import ALL_RULES, NOT_COUNTED, broken_rules
from bootstrap.inventory.text import printable
from bootstrap.inventory.words import problems_of
from bootstrap.inventory.written_file.bounds import LONGEST_FILE, MOST_NODES, MOST_PROBLEMS
from bootstrap.inventory.written_file.positions import Document, Problem, read_document

# Sections that begin so are a person's own, to keep there what others refer to: `x-rack: &rack {...}`.
OWN_SECTION = "x-"
STANDARD_INPUT = Path("-")


class InventoryErrors(BadUse):
    """Everything that is wrong with an inventory; `readable` is what of it can be read all the same."""

    def __init__(self, problems: Sequence[Problem], readable: ReadInventory | None = None) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            printable(f"{count} in {problems[0].file}"),
            step="inventory",
            hint="fix these places; `clusterup schema` lets an editor complete and check",
        )
        self.problems = tuple(problems)
        self.readable = readable

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:MOST_PROBLEMS]]
        if more := len(self.problems) - MOST_PROBLEMS:
            lines += [f"and {more} more"] if more > 0 else []
        return "\n".join([*lines, f"  next: {self.hint}"])


def place_of_manifests(entry: str) -> str:
    """Under what the place of an entry of manifests is kept: no node is called so."""
    return f"manifests {entry}"


@dataclass(frozen=True, slots=True)
class ReadInventory:
    """An inventory, and the file that it stands in; `content` is all of that, comments included."""

    inventory: Inventory
    document: Document
    content: bytes

    @property
    def places(self) -> dict[str, str]:
        """Where a person finds what is wanted, as in "lab.yaml:12": of each node by its name, of the cluster as a whole
        under the empty name."""
        where = {"": self._line("cluster")}
        where |= {
            place_of_manifests(source.name): self._line("manifests", number)
            for number, source in enumerate(self.inventory.manifests)
        }
        return where | {node.name: self._line("nodes", number) for number, node in enumerate(self.inventory.nodes)}

    def _line(self, *place: str | int) -> str:
        return f"{self.document.file}:{self.document.key_at(place)[0]}"


def load_inventory(path: Path) -> Inventory:
    """The inventory at `path`, with `defaults` merged into every node.

    Raises InventoryErrors with every problem, or BadUse when the file can't be read.
    """
    return read_inventory(path).inventory


def read_inventory(path: Path) -> ReadInventory:
    """As `load_inventory`, with the file's content and the places in it."""
    return written_of(path, inventory_bytes(path))


def parse_inventory(path: Path, content: bytes) -> Inventory:
    """As `load_inventory`, of a file whose content is known; `path` is what messages call it."""
    return written_of(path, content).inventory


def written_of(path: Path, content: bytes) -> ReadInventory:
    """As `read_inventory`, of a file whose content is known; `path` is what messages call it."""
    document = read_document(path, _text(path, content))
    if document.problems and (document.structural or not isinstance(document.data, dict)):
        raise InventoryErrors(document.problems)
    if not isinstance(document.data, dict):
        raise InventoryErrors([Problem(path, 1, 1, "this is not an inventory", "a mapping with 'cluster' and 'nodes'")])
    if (too_many := _too_many_nodes(document)) is not None:
        raise InventoryErrors([too_many])
    data = {key: value for key, value in document.data.items() if not key.startswith(OWN_SECTION)}
    try:
        inventory = Inventory.model_validate(data)
    except ValidationError as error:
        partly = partly_right(data, error)
        problems = _with_those_of_yaml(document, _everything(document, error, partly))
        readable = ReadInventory(with_defaults(partly.inventory), document, content) if partly is not None else None
        raise InventoryErrors(problems, readable) from None
    merged = with_defaults(inventory)
    if broken := _with_those_of_yaml(document, broken_rules(inventory, merged, document, ALL_RULES)):
        raise InventoryErrors(broken, ReadInventory(merged, document, content))
    return ReadInventory(merged, document, content)


def with_defaults(inventory: Inventory) -> Inventory:
    """The inventory with what its nodes don't say themselves."""
    nodes = tuple(_merged(inventory.defaults, node) for node in inventory.nodes)
    return inventory.model_copy(update={"nodes": nodes})


def _with_those_of_yaml(document: Document, problems: Sequence[Problem]) -> list[Problem]:
    """The problems beside those that reading found: what was said of a value already is not said again."""
    said = {(problem.line, problem.column) for problem in document.problems}
    more = [problem for problem in problems if (problem.line, problem.column) not in said]
    return sorted([*document.problems, *more], key=lambda problem: (problem.line, problem.column))


def _everything(document: Document, error: ValidationError, partly: Partly | None) -> list[Problem]:
    """What is wrong with single values, and the rules that are broken by those that are right."""
    problems = problems_of(document, error)
    if partly is not None:
        rules = NOT_COUNTED if not partly.counted else ALL_RULES
        problems += broken_rules(partly.inventory, with_defaults(partly.inventory), document, rules)
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def inventory_bytes(path: Path) -> bytes:
    """The file at `path`, comments included; what comes on standard input for "-". Raises BadUse when it can't be read,
    or is too long for an inventory."""
    try:
        if path == STANDARD_INPUT:
            with os.fdopen(os.dup(0), "rb") as handle:
                return checked_length(path, handle.read(LONGEST_FILE + 1))
        with path.open("rb") as handle:
            # A device or a pipe may never end.
            return checked_length(path, handle.read(LONGEST_FILE + 1))
    except FileNotFoundError:
        said, hint = "there is no such file", "`clusterup init` writes one to start from"
    except IsADirectoryError:
        said, hint = "this is a folder", "name the file in it"
    except (OSError, ValueError) as error:
        # ValueError: Python's own, for a name that no file can have.
        said, hint = getattr(error, "strerror", None) or str(error), "is it yours to read?"
    raise _unreadable(path, said, hint)


def checked_length(path: Path, content: bytes) -> bytes:
    """The content of an inventory. Raises BadUse where it is too long for one."""
    if len(content) > LONGEST_FILE:
        raise _unreadable(
            path,
            f"it is longer than {LONGEST_FILE >> 20} MiB",
            f"is it the right file? An inventory may have {MOST_NODES:,} nodes, which need no more",
        )
    return content


def _too_many_nodes(document: Document) -> Problem | None:
    nodes = document.data.get("nodes")
    if not isinstance(nodes, list) or len(nodes) <= MOST_NODES:
        return None
    place = document.at(("nodes", MOST_NODES))
    return Problem(document.file, *place, f"{len(nodes):,} nodes", f"at most {MOST_NODES:,} nodes in a cluster")


def _text(path: Path, content: bytes) -> str:
    checked_length(path, content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} is not UTF-8", "save it as UTF-8") from None


def _unreadable(path: Path, said: str, hint: str) -> BadUse:
    named = printable(str(path))
    return BadUse(f"the inventory {named} can't be read", step="inventory", tried=f"open {named}", got=said, hint=hint)


def _merged(defaults: NodeSettings, node: Node) -> Node:
    """What a node does not say itself comes from `defaults`; labels are merged, the node's own winning."""
    update: dict[str, Any] = {}
    for name in defaults.model_fields_set:
        default, own = getattr(defaults, name), getattr(node, name)
        if name not in node.model_fields_set:
            update[name] = default
        elif isinstance(default, dict):
            update[name] = {**default, **own}
        elif isinstance(default, BaseModel):
            told = {field: getattr(own, field) for field in own.model_fields_set}
            update[name] = default.model_copy(update=told)
    return node.model_copy(update=update)
