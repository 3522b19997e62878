"""Nodes with what is left of a cluster that was taken apart while they were off, or whose cleaning was interrupted.

Their etcd and their kubelet believe an authority that is no more. What they keep may be wanted by somebody: it is not
removed without being asked for.
"""

from __future__ import annotations

from collections.abc import Collection

from bootstrap.errors import ClusterupError, Refused
from bootstrap.steps.clean import half_clean
from bootstrap.steps.desired import KEPT_ETC
from bootstrap.steps.node_units import CA
from bootstrap.steps.world import NodeFacts, World


def knows(facts: NodeFacts) -> str | None:
    """The SHA-256 of the authority's certificate that a node was given; None where it has none."""
    return facts.files.get(f"{KEPT_ETC}{CA}") or facts.files.get(CA)


def left_over(world: World, cluster_id: str, past: Collection[str]) -> list[ClusterupError]:
    """What speaks against an apply on this cluster's nodes that were not taken apart with the others, or by half.
    `past` are SHA-256 of the authorities of lives of the cluster that have ended."""
    return [
        Refused(
            "it is half taken out of a cluster: its cleaning was begun and did not end"
            if half_clean(facts)
            else "what is on it is left over from an earlier life of this cluster, which was taken apart",
            node=name,
            step="preflight",
            tried="look for what came after the installation",
            got="the cleaning goes on there" if half_clean(facts) else f"{CA} is that of the earlier life",
            hint=f"clean it, which removes all that pods and etcd keep there: clusterup down --only {name}, with "
            "the inventory; then apply again",
        )
        for name, facts in world.nodes.items()
        if facts.kind == "installed" and facts.cluster_id == cluster_id
        if half_clean(facts) or knows(facts) in past
    ]
