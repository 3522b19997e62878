"""What the API says of the cluster, without what people put into it: no Secret, no ConfigMap, no environment, no
arguments of their pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrap.clients.kubernetes import KubeClient

# Kinds, and what is taken of each object beside its names: the keys of the way there.
KINDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Node": (("spec",), ("status",), ("metadata", "labels"), ("metadata", "annotations")),
    "Pod": (
        ("spec", "nodeName"),
        ("spec", "hostNetwork"),
        ("spec", "tolerations"),
        ("status", "phase"),
        ("status", "reason"),
        ("status", "message"),
        ("status", "conditions"),
        ("status", "containerStatuses"),
        ("status", "initContainerStatuses"),
        ("status", "podIP"),
    ),
    "Event": (("type",), ("reason",), ("message",), ("count",), ("involvedObject",), ("lastTimestamp",), ("source",)),
    "Lease": (("spec",),),
    "CertificateSigningRequest": (("status", "conditions"), ("spec", "username"), ("spec", "signerName")),
}
NAMES = ("name", "namespace", "creationTimestamp", "deletionTimestamp", "resourceVersion")


def objects_of(api: KubeClient, kind: str) -> list[dict[str, Any]]:
    """All objects of a kind of `KINDS`, as far as they are of use. Raises KubeError."""
    return [taken(dict(each), KINDS[kind]) for each in api.list(kind)]


def taken(found: Mapping[str, Any], ways: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """The names of an object, and what stands at the ends of the ways."""
    metadata = found.get("metadata") or {}
    made: dict[str, Any] = {"metadata": {name: metadata[name] for name in NAMES if name in metadata}}
    for way in ways:
        value: Any = found
        for key in way:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            place = made
            for key in way[:-1]:
                place = place.setdefault(key, {})
            place[way[-1]] = value
    return made
