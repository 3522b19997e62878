"""Which volumes are on the disks of nodes, whoever made them: they don't go elsewhere with their pods."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from bootstrap.facts.model import VolumeFacts

HOSTNAME = "kubernetes.io/hostname"


def volumes_by_node(volumes: Iterable[Mapping[str, Any]], nodes: Collection[str]) -> dict[str, tuple[VolumeFacts, ...]]:
    """Those of `nodes` that somebody claims or has claimed, in the order of their claims."""
    found: dict[str, list[VolumeFacts]] = {}
    for volume in volumes:
        reference = volume["spec"].get("claimRef")
        for name in _nodes_of(volume["spec"]):
            if name in nodes and reference:
                claim = f"{reference.get('namespace')}/{reference.get('name')}"
                size = str((volume["spec"].get("capacity") or {}).get("storage") or "?")
                found.setdefault(name, []).append(VolumeFacts(claim, size))
    return {name: tuple(sorted(each, key=str)) for name, each in found.items()}


def _nodes_of(spec: Mapping[str, Any]) -> set[str]:
    """The nodes that its affinity names, where it can be used on these alone."""
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    return {
        str(value)
        for term in terms
        for each in term.get("matchExpressions") or ()
        if each.get("key") == HOSTNAME and each.get("operator") == "In"
        for value in each.get("values") or ()
    }
