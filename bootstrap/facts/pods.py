"""Which pods of a node have to go elsewhere before it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bootstrap.facts.model import PodFacts

MIRROR = "kubernetes.io/config.mirror"
ENDED = ("Succeeded", "Failed")


def pods_to_move(pods: Iterable[Mapping[str, Any]]) -> tuple[PodFacts, ...]:
    """Those of a node's pods that have to go elsewhere before it leaves."""
    moved = []
    for pod in pods:
        metadata = pod["metadata"]
        owner = next((owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")), None)
        of_the_node = MIRROR in (metadata.get("annotations") or {}) or (owner or {}).get("kind") == "DaemonSet"
        if not of_the_node and pod.get("status", {}).get("phase") not in ENDED:
            moved.append(PodFacts(metadata["namespace"], metadata["name"], owned=owner is not None))
    return tuple(moved)
