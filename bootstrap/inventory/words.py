"""What is wrong with the values of an inventory, in our words: Pydantic finds it, and says nothing of it itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bootstrap.inventory.model import Inventory
from bootstrap.inventory.text import looks_private, printable, shown
from bootstrap.inventory.values import WRONG
from bootstrap.inventory.written_file.positions import Document, KeyPath, Problem

# Who reads so many has enough to do.
_MOST = 1_000
_SECRET = ("password_from", "passphrase_from", "root_password_from", "password", "passphrase", "token")
# Most of these are public; somebody may have put a piece of the other half there.
_PUBLIC = ("ssh_authorized_keys", "trusted_keys")
_KEY = "[key]"


def problems_of(document: Document, error: ValidationError, around: KeyPath = ()) -> list[Problem]:
    """Everything that is wrong, each thing at its place, in the order of the file. `around` is where in an inventory
    that stands which was validated."""
    everything: list[dict[str, Any]] = [
        {**details, "loc": (*around, *details["loc"])} for details in error.errors(include_url=False)[:_MOST]
    ]
    # A list whose items are all wrong is called too short as well: the items' own problems say enough.
    inside = {details["loc"][:length] for details in everything for length in range(len(details["loc"]))}
    telling = [details for details in everything if details["type"] != "too_short" or details["loc"] not in inside]
    problems = {_problem(document, details) for details in telling}
    return sorted(problems, key=lambda problem: (problem.line, problem.column, problem.found))


def problems_in_words(error: ValidationError, around: KeyPath) -> list[str]:
    """As `problems_of`, of something that stands in no file: "labels: found a list; allowed: a mapping"."""
    nowhere = Document(Path(), {}, {}, {}, ())
    start = f"{named(nowhere, around)}: " if around else ""
    problems = problems_of(nowhere, error, around)
    return [str(problem).removeprefix(f"{Path()}:1:1: ").replace(start, "", 1) for problem in problems]


def named(document: Document, place: KeyPath) -> str:
    """A place as a person calls it: "node server-1: labels.disk", "cluster.name"."""
    if len(place) >= 2 and place[0] == "nodes" and isinstance(place[1], int):
        rest = _dotted(place[2:])
        return f"node {_name_of(document, place[1])}" + (f": {rest}" if rest else "")
    return _dotted(place)


def _dotted(place: KeyPath) -> str:
    return printable(".".join(str(part) for part in place if part != _KEY))


def _name_of(document: Document, number: int) -> str:
    """The name of the node with that number in the list, or the number where it has no name that could be shown."""
    try:
        name = document.data["nodes"][number]["name"]
    except (LookupError, TypeError):
        name = None
    fine = isinstance(name, str) and name and name.isprintable() and not looks_private(name)
    return str(name)[:63] if fine else f"number {number + 1}"


def _problem(document: Document, details: dict[str, Any]) -> Problem:
    place: KeyPath = tuple(details["loc"])
    name, kind = named(document, place), details["type"]
    if kind == "extra_forbidden":
        return _unknown_key(document, place)
    if kind == "missing":
        return Problem(document.file, *document.at(place[:-1]), f"{name} is missing", _needed(place))
    is_key = place[-1:] == (_KEY,)
    position = document.key_at(place[:-1]) if is_key else document.at(place)
    told = details.get("ctx", {})
    if kind == WRONG:
        why, allowed, nearest = told["why"], told["allowed"], told["nearest"]
    else:
        why, allowed = "", _allowed(kind, told, place)
        nearest = _nearest(details.get("input"), str(told.get("expected", "")))
    if is_key:
        # The key is in the name already.
        return Problem(document.file, *position, f"{name}: {why or 'this key can not stand here'}", allowed, nearest)
    found = _found(document, place, details.get("input"))
    return Problem(document.file, *position, f"{name}: found {found}" + (f": {why}" if why else ""), allowed, nearest)


def _unknown_key(document: Document, place: KeyPath) -> Problem:
    valid = _keys_at(place[:-1])
    key = str(place[-1])
    close = difflib.get_close_matches(key[:100], valid, n=1)
    section = named(document, place[:-1])
    if key.startswith("x-"):
        valid = ["x- sections of your own at the top of the file"]
    return Problem(
        document.file,
        *document.key_at(place),
        f"unknown key {shown(key)}" + (f" in {section}" if section else ""),
        ", ".join(valid),
        close[0] if close else "",
    )


def _found(document: Document, place: KeyPath, value: object) -> str:
    """What was found, as it is written; nothing of what may be a secret."""
    if isinstance(value, str) and set(place) & {*_SECRET, *_PUBLIC}:
        return "a private key (it is not shown here)" if looks_private(value) else "a text that is not shown here"
    raw = document.raw.get(place)
    if raw is None or value is None or raw.lower() == str(value).lower():
        return shown(value)
    return f"{shown(raw)[1:-1]} (read as {shown(value)})"


def _allowed(kind: str, told: dict[str, Any], place: KeyPath) -> str:
    """What is right where Pydantic found something of another type, or out of range."""
    example = _example(place)
    as_in = f", as in {example}" if example else ""
    if kind in ("enum", "literal_error"):
        return str(told["expected"])
    words = {
        "string_type": f"text: put it in quotes{as_in}",
        "int_type": f"a whole number without quotes{as_in}",
        "bool_type": "true or false, without quotes",
        "tuple_type": f"a list{as_in or ', as in [first, second]'}",
        "dict_type": f"a mapping{as_in or ', as in { key: value }'}",
        "model_type": f"a mapping with keys of {', '.join(_keys_at(place))}",
        "too_short": "one at least",
        "greater_than_equal": f"{told.get('ge')} or more",
        "less_than_equal": f"{told.get('le')} or less",
    }
    return words.get(kind) or _described(place) + as_in


def _nearest(found: object, expected: str) -> str:
    if not expected or not isinstance(found, str):
        return ""
    options = [option.strip().strip("'") for option in expected.replace(" or ", ", ").split(",")]
    return next(iter(difflib.get_close_matches(found[:100], options, n=1)), "")


def _example(place: KeyPath) -> str:
    """An example of what may stand there, as it is written in YAML."""
    field = _field_at(place)
    if field is None or not field.examples:
        return ""
    example: Any = field.examples[0]
    if place and isinstance(place[-1], int) and isinstance(example, list):
        example = example[0]
    elif isinstance(example, dict) and _is_inside(place, field):
        example = next(iter(example.values()))
    return _flow(example)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    return f'"{value}"' if isinstance(value, str) and (value.replace(".", "").isdigit() or ":" in value) else str(value)


def _is_inside(place: KeyPath, field: FieldInfo) -> bool:
    """Whether a place is a key's value in a field that is a mapping."""
    return _field_at(place[:-1]) is field


def _field_at(place: KeyPath) -> FieldInfo | None:
    """The field at a place, or the one that the place is in where that is a list or a mapping of single values."""
    model: type[BaseModel] | None = Inventory
    field: FieldInfo | None = None
    for part in place:
        if isinstance(part, int):
            continue
        if model is None:
            # A key of a mapping of single values.
            return field
        field = model.model_fields.get(part)
        if field is None:
            return None
        model = _section(field.annotation)
    return field


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section(inner))), None)


def _keys_at(place: Iterable[str | int]) -> list[str]:
    model: type[BaseModel] | None = Inventory
    for part in place:
        if isinstance(part, int):
            continue
        if model is None or part not in model.model_fields:
            return []
        model = _section(model.model_fields[part].annotation)
    return sorted(model.model_fields) if model else []


def _needed(place: KeyPath) -> str:
    """What belongs where nothing is."""
    example = _example(place)
    return f"a line as in {place[-1]}: {example}" if example else _described(place)


def _described(place: KeyPath) -> str:
    field = _field_at(place)
    return (field.description or "").rstrip(".") if field else ""
