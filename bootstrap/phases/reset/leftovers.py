"""Nodes with what is left of a cluster that was taken apart while they were off, or whose cleaning was interrupted.

Their etcd and their kubelet believe an authority that is no more. What they keep may be wanted by somebody: it is not
removed without being asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from bootstrap.constants.paths import ETCD_PKI, KEPT_ETC, KUBERNETES_CA, KUBERNETES_PKI
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.phases.reset.reset import half_clean
from bootstrap.pki.store import ClusterPki


def knows(facts: NodeFacts) -> str | None:
    """The SHA-256 of the authority's certificate that a node was given; None where it has none."""
    return facts.files.get(f"{KEPT_ETC}{KUBERNETES_CA}") or facts.files.get(KUBERNETES_CA)


def left_over(world: ClusterFacts, cluster_id: str, past: Collection[str]) -> list[ClusterupError]:
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
            got="the cleaning goes on there" if half_clean(facts) else f"{KUBERNETES_CA} is that of the earlier life",
            hint=f"clean it, which removes all that pods and etcd keep there: clusterup down --only {name}, with "
            "the inventory; then run the command again",
        )
        for name, facts in world.nodes.items()
        if facts.kind == "installed" and facts.cluster_id == cluster_id
        if half_clean(facts) or knows(facts) in past
    ]


def other_authority(
    world: ClusterFacts, cluster_id: str, pki: ClusterPki, past: Collection[str]
) -> list[ClusterupError]:
    """What speaks against an apply on nodes of this cluster that believe other authorities than those in the state
    here: what it would bring them belongs to another life of the cluster, or to another operator's. `past` as for
    `left_over`, which speaks of those."""
    ours = {
        KUBERNETES_CA: pki.ca.cert_pem,
        f"{ETCD_PKI}/ca.crt": pki.etcd.cert_pem,
        f"{KUBERNETES_PKI}/front-proxy-ca.crt": pki.front_proxy.cert_pem,
        f"{KUBERNETES_PKI}/sa.pub": pki.service_account_public,
    }
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in ours.items()}
    found: list[ClusterupError] = []
    for name, facts in world.nodes.items():
        if facts.kind != "installed" or facts.cluster_id != cluster_id or half_clean(facts) or knows(facts) in past:
            continue
        # One that is damaged is brought back: the running system's and the one that is kept for the next boot are two.
        there = {path: {facts.files.get(path), facts.files.get(f"{KEPT_ETC}{path}")} - {None} for path in digests}
        other = [path for path, digest in digests.items() if there[path] and digest not in there[path]]
        if other:
            found.append(
                Refused(
                    "it belongs to this cluster, and believes other authorities than those in the state here",
                    node=name,
                    step="preflight",
                    tried=f"compare {', '.join(other)} with the state",
                    got="other ones there",
                    hint=f"if this is the only node of which that is said, take it out and in again: clusterup remove "
                    f"{name}, then its entry back into the inventory, and apply; if all say so, the state here is the "
                    "wrong one: move it away, and take the cluster's own: clusterup adopt root@SERVER",
                )
            )
    return found
