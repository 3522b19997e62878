"""Kubernetes objects in memory: applied, patched, deleted, each change with a new version."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
# kind, namespace ("" where it has none), name
Name = tuple[str, str, str]


class Conflict(Exception):
    """The object is not the one any more that the change was made for."""


class Objects:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self._objects: dict[Name, Object] = {}
        self._version = 0

    @property
    def version(self) -> str:
        """The version of the newest change."""
        return str(self._version)

    def get(self, name: Name) -> Object | None:
        return copy.deepcopy(self._objects.get(name))

    def all(self, kind: str, namespace: str = "") -> list[Object]:
        """All of a kind, in one namespace or in all."""
        found = [name for name in self._objects if name[0] == kind and namespace in ("", name[1])]
        return [copy.deepcopy(self._objects[name]) for name in sorted(found)]

    def look(self, kind: str) -> Iterator[Object]:
        """All of a kind as they are kept, for whoever changes nothing of them: copies of many take their time."""
        return (found for name, found in self._objects.items() if name[0] == kind)

    def apply(self, name: Name, manifest: Object) -> Object:
        """Server-side apply by the only manager there is: what the manifest says wins, the rest stays."""
        return self._put(name, _merged(self._objects.get(name, {}), manifest, nulls_delete=False))

    def merge(self, name: Name, patch: Object) -> Object:
        """RFC 7396. Raises Conflict where the patch is for another version, KeyError where there is no such object."""
        found = self._objects[name]
        version = patch.get("metadata", {}).get("resourceVersion")
        if version not in (None, found["metadata"]["resourceVersion"]):
            raise Conflict
        return self._put(name, _merged(found, patch, nulls_delete=True))

    def delete(self, name: Name) -> Object | None:
        return self._objects.pop(name, None)

    def _put(self, name: Name, wanted: Object) -> Object:
        before = self._objects.get(name)
        wanted.setdefault("metadata", {}).setdefault("name", name[2])
        if name[1]:
            wanted["metadata"].setdefault("namespace", name[1])
        if before != wanted:
            self._version += 1
            wanted["metadata"].setdefault("uid", f"uid-{self._version}")
            wanted["metadata"]["resourceVersion"] = str(self._version)
            self._objects[name] = wanted
        return copy.deepcopy(self._objects[name])


def _merged(found: Object, change: Object, *, nulls_delete: bool) -> Object:
    made = copy.deepcopy(found)
    for key, value in change.items():
        if value is None and nulls_delete:
            made.pop(key, None)
        elif isinstance(value, dict):
            inner = made.get(key)
            made[key] = _merged(inner if isinstance(inner, dict) else {}, value, nulls_delete=nulls_delete)
        else:
            made[key] = copy.deepcopy(value)
    return made
