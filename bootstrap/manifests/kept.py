"""What was brought into a cluster from manifests, as the cluster itself keeps it: whoever applies next, from whatever
machine, knows by it what has left the inventory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bootstrap.errors import ClusterupError
from bootstrap.machine.objects import Manifest
from bootstrap.manifests.documents import STEP

NAME, NAMESPACE = "clusterup-manifests", "kube-system"
OBJECTS, DONE = "objects", "done"


@dataclass(frozen=True, slots=True, order=True)
class KeptObject:
    """An object that was applied."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> str:
        """How it is named: Kind/name or Kind/namespace/name."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    @property
    def is_same(self) -> tuple[str, str, str, str]:
        """What tells it from others: the versions of an API have the same objects."""
        return self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Kept:
    """All objects that were applied, in that order, and what was seen at work: digests of entries by their names."""

    objects: tuple[KeptObject, ...] = ()
    done: Mapping[str, str] = field(default_factory=dict)

    def with_objects(self, more: Iterable[KeptObject]) -> Kept:
        """The same and more."""
        known = {each.is_same: each for each in self.objects}
        for each in more:
            known[each.is_same] = each
        return Kept(tuple(known.values()), self.done)


def kept_in(found: Mapping[str, Any] | None) -> Kept:
    """What the ConfigMap says; nothing where there is none. Raises ClusterupError where it was damaged: what left the
    inventory would stay for ever."""
    data = (found or {}).get("data") or {}
    try:
        objects = tuple(_kept_object(each) for each in json.loads(data.get(OBJECTS, "[]")))
        done = {str(name): str(digest) for name, digest in json.loads(data.get(DONE, "{}")).items()}
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, RecursionError) as error:
        damaged = ClusterupError(
            "what the cluster keeps of manifests can't be read",
            step=STEP,
            tried=f"read the ConfigMap {NAMESPACE}/{NAME}",
            got=str(error),
            hint=f"put it back as it was; or delete it (kubectl -n {NAMESPACE} delete configmap {NAME}): all that the "
            "inventory names is applied then, and what has left it is yours to delete",
        )
        damaged.final = True
        raise damaged from None
    return Kept(objects, done)


def _kept_object(written: list[Any]) -> KeptObject:
    api_version, kind, namespace, name = written
    return KeptObject(str(api_version), str(kind), str(namespace), str(name))


def config_map(kept: Kept) -> Manifest:
    """The ConfigMap that says so."""
    objects = [[each.api_version, each.kind, each.namespace, each.name] for each in kept.objects]
    lines = ",\n".join(json.dumps(each) for each in objects)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "data": {OBJECTS: f"[{lines}]", DONE: json.dumps(dict(kept.done), sort_keys=True)},
    }
