"""Reading an inventory: everything that is wrong with it is reported at once, each with its place."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bootstrap.errors import BadUse
from bootstrap.inventory.model import Inventory, Node, NodeSettings
from bootstrap.inventory.positions import Document, Place, Problem, read_document
from bootstrap.inventory.rules import broken_rules


class InventoryErrors(BadUse):
    """Everything that is wrong with an inventory."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"{count} in {problems[0].file}",
            step="inventory",
            hint="mend these places; `clusterup schema` lets an editor complete and check",
        )
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([*(str(problem) for problem in self.problems), f"  next: {self.hint}"])


@dataclass(frozen=True, slots=True)
class Written:
    """An inventory, and the file that it stands in; `content` is all of that, comments included."""

    inventory: Inventory
    document: Document
    content: bytes

    @property
    def places(self) -> dict[str, str]:
        """Where a person finds what is wanted, as in "lab.yaml:12": of each node by its name, of the cluster as a whole
        under the empty name."""
        where = {"": self._line("cluster")}
        return where | {node.name: self._line("nodes", number) for number, node in enumerate(self.inventory.nodes)}

    def _line(self, *place: str | int) -> str:
        return f"{self.document.file}:{self.document.key_at(place)[0]}"


def load_inventory(path: Path) -> Inventory:
    """The inventory at `path`, with `defaults` merged into every node.

    Raises InventoryErrors with every problem, or BadUse when the file can't be read.
    """
    return read_inventory(path).inventory


def read_inventory(path: Path) -> Written:
    """As `load_inventory`, with the file's content and the places in it."""
    return written_of(path, inventory_bytes(path))


def parse_inventory(path: Path, content: bytes) -> Inventory:
    """As `load_inventory`, of a file whose content is known; `path` is what messages call it."""
    return written_of(path, content).inventory


def written_of(path: Path, content: bytes) -> Written:
    """As `read_inventory`, of a file whose content is known; `path` is what messages call it."""
    document = read_document(path, _text(path, content))
    if document.problems:
        raise InventoryErrors(document.problems)
    if not isinstance(document.data, dict):
        raise InventoryErrors([Problem(path, 1, 1, "this is no inventory", "a mapping with 'cluster' and 'nodes'")])
    try:
        inventory = Inventory.model_validate(document.data)
    except ValidationError as error:
        raise InventoryErrors(_problems(document, error)) from None
    if broken := broken_rules(inventory, document):
        raise InventoryErrors(broken)
    nodes = tuple(_merged(inventory.defaults, node) for node in inventory.nodes)
    return Written(inventory.model_copy(update={"nodes": nodes}), document, content)


def inventory_bytes(path: Path) -> bytes:
    """The file at `path`, comments included. Raises BadUse when it can't be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        said, hint = "there is no such file", "`clusterup init` writes one to start from"
    except IsADirectoryError:
        said, hint = "this is a folder", "name the file in it"
    except OSError as error:
        said, hint = str(error.strerror), "is it yours to read?"
    raise _unreadable(path, said, hint)


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} is no UTF-8", "save it as UTF-8") from None


def _unreadable(path: Path, said: str, hint: str) -> BadUse:
    return BadUse(f"the inventory {path} can't be read", step="inventory", tried=f"open {path}", got=said, hint=hint)


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


def _problems(document: Document, error: ValidationError) -> list[Problem]:
    everything = error.errors(include_url=False)
    # A list whose items are all wrong is called too short as well: the items' own problems say enough.
    inside = {details["loc"][: len(outer["loc"])] for outer in everything for details in everything if details != outer}
    telling = [details for details in everything if details["type"] != "too_short" or details["loc"] not in inside]
    problems = [_problem(document, dict(details)) for details in telling]
    return sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.found))


def _problem(document: Document, details: dict[str, Any]) -> Problem:
    place: Place = tuple(details["loc"])
    name = ".".join(str(part) for part in place)
    kind = details["type"]
    if kind == "extra_forbidden":
        valid = _keys_at(place[:-1])
        close = difflib.get_close_matches(str(place[-1]), valid, n=1)
        return Problem(
            document.file,
            *document.key_at(place),
            f"unknown key {str(place[-1])!r}" + (f" in {'.'.join(map(str, place[:-1]))}" if place[:-1] else ""),
            ", ".join(valid),
            close[0] if close else "",
        )
    if kind == "missing":
        return Problem(document.file, *document.at(place[:-1]), f"{name} is missing", _described(place))
    found = details.get("input")
    said = f"{name}: found {_shown(found)}"
    allowed = str(details["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "string_type" and isinstance(found, bool | int | float):
        allowed = "text: put it in quotes"
    nearest = ""
    expected = details.get("ctx", {}).get("expected")
    if expected and isinstance(found, str):
        options = [option.strip().strip("'") for option in str(expected).replace(" or ", ", ").split(",")]
        nearest = next(iter(difflib.get_close_matches(found, options, n=1)), "")
    return Problem(document.file, *document.at(place), said, allowed, nearest)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _model_at(place: Place) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Inventory
    for part in place:
        if isinstance(part, int):
            continue
        if model is None or part not in model.model_fields:
            return None
        model = _section(model.model_fields[part].annotation)
    return model


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section(inner))), None)


def _keys_at(place: Place) -> list[str]:
    model = _model_at(place)
    return sorted(model.model_fields) if model else []


def _described(place: Place) -> str:
    model = _model_at(place[:-1])
    field = model.model_fields.get(str(place[-1])) if model else None
    return (field.description or "") if field else ""
