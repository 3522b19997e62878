"""What API servers answer, as objects of the shape that everything here relies on.

A server that is broken, or that something else answers for, may say anything. What is not an object, or has something
else where every Kubernetes object has a map, a list or a text, is refused here and named, and not met somewhere later.
A null is what a field that is not there is.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/,
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bootstrap.outside import parsed_json
from bootstrap.protocol.exchange import TooSlow

Object = dict[str, Any]
SHOWN = 80
MESSAGE_SHOWN = 2000
_Check = Callable[[Any], bool]
Shapes = Mapping[tuple[str, ...], tuple[_Check, str]]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_maps(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_map, value))


# What stands where in an object, as far as it is there.
_SHAPES: Shapes = {
    **dict.fromkeys(
        (
            ("kind",),
            ("metadata", "name"),
            ("metadata", "namespace"),
            ("metadata", "uid"),
            ("metadata", "resourceVersion"),
            ("metadata", "deletionTimestamp"),
            ("spec", "nodeName"),
            ("spec", "request"),
            ("spec", "username"),
            ("status", "phase"),
            ("status", "podIP"),
            ("status", "certificate"),
        ),
        (_is_text, "a text"),
    ),
    **dict.fromkeys((("metadata",), ("spec",), ("status",)), (_is_map, "a map")),
    **dict.fromkeys(
        (("metadata", "labels"), ("metadata", "annotations"), ("data",)),
        (_is_texts, "a map of texts"),
    ),
    # Newer releases say more of a node than texts there (nodeInfo.swap).
    ("status", "nodeInfo"): (_is_map, "a map"),
    ("status", "nodeInfo", "kubeletVersion"): (_is_text, "a text"),
    **dict.fromkeys(
        (
            ("metadata", "ownerReferences"),
            ("spec", "taints"),
            ("status", "addresses"),
            ("status", "conditions"),
            ("status", "containerStatuses"),
        ),
        (_is_maps, "a list of maps"),
    ),
}

_OF_ALL = {path: shape for path, shape in _SHAPES.items() if path[0] == "metadata"}


def object_in(body: bytes) -> Object:
    """The object, or the list of objects, in an answer, without its nulls. Raises ValueError that says what is not as
    it should be."""
    return _read(body, _SHAPES)


def any_object_in(body: bytes) -> Object:
    """As `object_in`, of kinds that others defined: they have what they like beside their metadata."""
    return _read(body, _OF_ALL)


def _read(body: bytes, shapes: Shapes) -> Object:
    try:
        found = _without_nulls(parsed_json(body))
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"it is not an object: {_shown(found)}")
    items = found.get("items")
    if items is None:
        return _checked(found, "it", shapes)
    if not _is_maps(items):
        raise ValueError(f"its items are not a list of objects: {_shown(items)}")
    for number, item in enumerate(items):
        _checked(item, f"item {number}", shapes)
        if "name" not in item.get("metadata", {}):
            raise ValueError(f"item {number} has no name: {_shown(item)}")
    return found


def _checked(found: Object, which: str, shapes: Shapes) -> Object:
    # What a request came to is an object of its own kind, whose status is a word.
    if found.get("kind") == "Status":
        return found
    for path, (fits, what) in shapes.items():
        for value in _at(found, path):
            if not fits(value):
                raise ValueError(f"{'.'.join(path)} of {which} is not {what}: {_shown(value)}")
    return found


def _at(found: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The value at that place, if there is one and all around it are maps."""
    for part in path:
        if not isinstance(found, dict) or part not in found:
            return
        found = found[part]
    yield found


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _shown(value: Any) -> str:
    """Enough of the value to find it; values of Secrets are not among it."""
    if isinstance(value, dict):
        return f"a map of {', '.join(sorted(map(str, value))[:8])}"[:SHOWN] if value else "an empty map"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return (
        f"{type(value).__name__} {value!r}"[:SHOWN] if not isinstance(value, str) else f"a text of {len(value)} letters"
    )


def is_too_slow(error: BaseException) -> bool:
    """Whether it comes from a connection that keeps to `within`, which says it in its own words."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, TooSlow):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def message_in(text: str) -> str:
    """What an answer that is not a success says: its message, or the disruption budgets that are in the way."""
    try:
        said = parsed_json(text)
        causes = (said.get("details") or {}).get("causes") or ()
        budgets = [str(cause["message"]) for cause in causes if cause.get("reason") == "DisruptionBudget"]
        return ("; ".join(budgets) or str(said["message"]))[:MESSAGE_SHOWN]
    except (ValueError, KeyError, TypeError, AttributeError):
        return text[:300]
