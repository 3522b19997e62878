"""What nodes are given that is secret or unique, as values: whoever acts makes and keeps it, here it is only used."""

from __future__ import annotations

from dataclasses import dataclass, field

from bootstrap.pki.store import ClusterPki
from bootstrap.pki.x509 import KeyPair


@dataclass(frozen=True, slots=True)
class ClusterCredentials:
    """What makes a cluster this one. `operator_key` is the public SSH key that its nodes let in."""

    cluster_id: str
    operator_key: str
    pki: ClusterPki


@dataclass(frozen=True, slots=True)
class ServerCredentials:
    """The certificates that are one server's own, by who shows them; `encryption_key` is the same on all servers.

    Source: https://kubernetes.io/docs/setup/best-practices/certificates/
    """

    etcd_server: KeyPair
    etcd_peer: KeyPair
    etcd_client: KeyPair
    api_server: KeyPair
    kubelet_client: KeyPair
    front_proxy: KeyPair
    controller_manager: KeyPair
    scheduler: KeyPair
    approver: KeyPair
    encryption_key: str = field(repr=False)
