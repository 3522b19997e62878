"""What the operator shows to a cluster's etcd and API servers."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.pki.store import ClusterPki, kept_leaf
from bootstrap.pki.x509 import KeyPair, Usage
from bootstrap.state.cluster import ClusterState

OPERATOR = "pki/operator"


@dataclass(frozen=True, slots=True)
class OperatorKeys:
    """The cluster's authorities, and what the operator shows to etcd and to the API servers."""

    pki: ClusterPki
    etcd: KeyPair
    admin: KeyPair


def operator_keys(state: ClusterState) -> OperatorKeys:
    """The keys kept in the cluster's state; what is missing is made, and not written. Raises Refused where an authority
    of a cluster that was founded is lost or damaged."""
    pki = state.pki
    return OperatorKeys(
        pki=pki,
        etcd=kept_leaf(state.vault, f"{OPERATOR}/etcd", pki.etcd, common_name="clusterup", usage=Usage.CLIENT),
        admin=kept_leaf(
            state.vault,
            f"{OPERATOR}/admin",
            pki.ca,
            common_name="kubernetes-admin",
            usage=Usage.CLIENT,
            organizations=["system:masters"],
        ),
    )
