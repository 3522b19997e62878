"""Kubernetes objects as people write them: YAML or JSON, several in one file, read into what an API server takes.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from bootstrap.errors import BadUse
from bootstrap.machine.objects import Manifest
from bootstrap.outside import on_one_line

STEP = "manifests"
LIST, TCP = "List", "TCP"
# Those of a large project (definitions of its kinds, most of it) have some megabytes.
LONGEST = 32 << 20
# What aliases stand for counts each time: a few lines can stand for billions.
MOST_VALUES = 2_000_000
DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Written:
    """An object, and where it is written ("apps/web.yaml:12")."""

    manifest: Manifest = field(repr=False)
    place: str


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes reads it: what looks like a date is text, and a key stands once in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if key.tag != "tag:yaml.org,2002:merge" and name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key.start_mark)
            seen.add(name)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return found


# What is read as something else than text by Kubernetes' own tools: no dates, no numbers of base sixty (12:30), and "="
# is a text (definitions of kinds have it).
_TAG = "tag:yaml.org,2002:"
_NUMBERS = {
    f"{_TAG}int": re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", re.ASCII),
    f"{_TAG}float": re.compile(
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        re.ASCII,
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, re.compile(rf"(?:{_NUMBERS[tag].pattern})\Z", re.ASCII) if tag in _NUMBERS else pattern)
        for tag, pattern in each
        if tag not in (f"{_TAG}timestamp", f"{_TAG}value")
    ]
    for first, each in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def objects_in(content: bytes, file: str) -> Iterator[Written]:
    """The objects of a file, those of lists among them one by one. `file` is what messages call it.

    Raises BadUse that names the line where it is no YAML, and for what is no object that can be applied.
    """
    if len(content) > LONGEST:
        raise _wrong(file, f"it is longer than {LONGEST >> 20} MiB", "is it the right file?")
    try:
        text = content.decode("utf-8-sig")
        yield from _documents(text, file) if (found := _as_json(text)) is None else _checked(found, f"{file}:1")
    except UnicodeDecodeError as error:
        raise _wrong(file, f"byte {error.start} is not UTF-8", "save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark is not None else file
        said = getattr(error, "problem", None) or str(error)
        raise _wrong(place, said, "mend it: it has to be YAML or JSON") from None
    except RecursionError:
        raise _wrong(file, "it is nested too deep", "is it the right file?") from None


def _documents(text: str, file: str) -> Iterator[Written]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            place = f"{file}:{node.start_mark.line + 1}"
            found = loader.construct_document(node)
            if found is not None:
                yield from _checked(found, place)
    finally:
        loader.dispose()


def _as_json(text: str) -> Any | None:
    """What a file says that is JSON, which may have tabs where YAML has none; None where it is none, or where a key
    stands twice: YAML says where."""
    if not text.lstrip().startswith("{"):
        return None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except ValueError:
        return None


def _checked(found: Any, place: str) -> Iterator[Written]:
    _bounded(found, place)
    yield from _objects(found, place)


def _bounded(found: Any, place: str) -> None:
    """What no API server could take is refused before memory is filled with it."""
    count, left = 0, [(found, 0)]
    while left:
        value, depth = left.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            raise _wrong(place, "it stands for too much, or is nested too deep", "is it the right file?")
        if isinstance(value, dict):
            for key, each in value.items():
                if not isinstance(key, str):
                    raise _wrong(place, f"the key {key!r} is no text", f"write it in quotes: '{key}'")
                left.append((each, depth + 1))
        elif isinstance(value, list):
            left += [(each, depth + 1) for each in value]
        elif not isinstance(value, (str, bool, int, float, type(None))):
            raise _wrong(place, f"{type(value).__name__} is nothing that JSON has", "write it in quotes")
        elif isinstance(value, float) and not math.isfinite(value):
            raise _wrong(place, f"{value} is no number that JSON has", "write it in quotes")


def _objects(found: Any, place: str) -> Iterator[Written]:
    if not isinstance(found, dict):
        raise _wrong(place, f"this is no object, but {_named(found)}", "an object with apiVersion, kind and metadata")
    for key in ("apiVersion", "kind"):
        if not isinstance(found.get(key), str) or not found[key]:
            raise _wrong(place, f"the object has no {key}", "write it down: every object of Kubernetes has one")
    if found["kind"].endswith(LIST) and isinstance(found.get("items"), list):
        for each in found["items"]:
            yield from _objects(each, place)
        return
    metadata = found.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        raise _wrong(
            place,
            f"the {found['kind']} has no metadata.name",
            "give it one: what has a name of its own each time (generateName) can't be applied again",
        )
    if not isinstance(metadata.get("namespace", ""), str):
        raise _wrong(place, f"the namespace of {found['kind']}/{name} is no text", "write it in quotes")
    yield Written(_completed(found), place)


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    """The object, with what older API servers want to read where newer ones know it: up to 1.20, a port of a Service
    that is applied has to name its protocol. Source: https://github.com/kubernetes-sigs/structured-merge-diff/issues/130
    """
    spec = found.get("spec")
    ports = spec.get("ports") if isinstance(spec, dict) else None
    if found["kind"] != "Service" or found["apiVersion"] != "v1" or not isinstance(ports, list):
        return found
    named = [{**each, "protocol": each.get("protocol", TCP)} if isinstance(each, dict) else each for each in ports]
    return {**found, "spec": {**found["spec"], "ports": named}}


def _named(found: Any) -> str:
    return {list: "a list", str: "text", bool: "yes or no"}.get(type(found), "a number")


def _wrong(place: str, said: str, hint: str) -> BadUse:
    return BadUse(
        on_one_line(f"{place} can't be applied"),
        step=STEP,
        tried="read the objects that are written there",
        got=on_one_line(said),
        hint=on_one_line(hint),
    )
