"""Nodes with what is left of a cluster that was taken apart while they were off, or whose cleaning was interrupted.

Their etcd and their kubelet believe an authority that is no more. What they keep may be wanted by somebody: it is not
removed without being asked for.
"""

from __future__ import annotations

import hashlib

from bootstrap.errors import ClusterupError, Refused
from bootstrap.steps.clean import half_clean
from bootstrap.steps.desired import KEPT_ETC
from bootstrap.steps.node_units import CA
from bootstrap.steps.world import NodeFacts, World


def of_this_life(facts: NodeFacts, ca_pem: bytes) -> bool:
    """Whether what is on a node came from the cluster with this authority; so it is where no authority is there yet."""
    digests = {facts.files[path] for path in (CA, f"{KEPT_ETC}{CA}") if path in facts.files}
    return digests <= {hashlib.sha256(ca_pem).hexdigest()}


def left_over(world: World, cluster_id: str, ca_pem: bytes) -> list[ClusterupError]:
    """What speaks against an apply on this cluster's nodes that were not taken apart with the others, or by half."""
    return [
        Refused(
            "it is half taken out of a cluster: its cleaning was begun and did not end"
            if half_clean(facts)
            else "what is on it is left over from an earlier life of this cluster, which was taken apart",
            node=name,
            step="preflight",
            tried="look for what came after the installation",
            got="its cleaning goes on" if half_clean(facts) else f"{CA} is not this cluster's",
            hint=f"clean it, which removes all that pods and etcd keep there: clusterup down --only {name}, with "
            "the inventory; then apply again",
        )
        for name, facts in world.nodes.items()
        if facts.kind == "installed" and facts.cluster_id == cluster_id
        if half_clean(facts) or not of_this_life(facts, ca_pem)
    ]
