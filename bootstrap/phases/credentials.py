"""The certificates and keys that nodes are given, out of the cluster's state.

All are issued on the operator's machine and kept in its state by whoever acts: a second run finds the same bytes.
Source: https://kubernetes.io/docs/setup/best-practices/certificates/
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.constants.objects import APPROVER_USER, CONTROLLER_MANAGER_USER, SCHEDULER_USER
from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Inventory
from bootstrap.pki.store import ClusterPki, kept_leaf
from bootstrap.pki.x509 import KeyPair, Usage
from bootstrap.spec.credentials import ClusterCredentials, ServerCredentials
from bootstrap.spec.topology import Shape, api_server_names, servers_of
from bootstrap.state.cluster import ClusterState


def cluster_credentials(state: ClusterState, pki: ClusterPki) -> ClusterCredentials:
    """What every node of the cluster is given. Raises Refused where a part of the state is lost."""
    return ClusterCredentials(state.cluster_id, state.ssh_key.public, pki)


def servers_credentials(
    inventory: Inventory, versions: Versions, pki: ClusterPki, state: ClusterState
) -> dict[str, ServerCredentials]:
    """Those of all servers of the inventory, by name. Raises as `server_credentials` does."""
    servers = servers_of(inventory)
    return {
        server.name: server_credentials(Shape(inventory, server, versions, servers), pki, state)
        for server in inventory.servers
    }


def server_credentials(shape: Shape, pki: ClusterPki, state: ClusterState) -> ServerCredentials:
    """The certificates and keys of one server, made where the state has none that is still good.

    Raises Refused where another key for the encryption of Secrets would have to be made.
    """
    name = shape.node.name
    members = [name, "localhost", "127.0.0.1", str(shape.node.address)]

    def leaf(
        file: str, authority: KeyPair, common_name: str, usage: Usage, *groups: str, hosts: Sequence[str] = ()
    ) -> KeyPair:
        return kept_leaf(
            state.vault,
            f"pki/nodes/{name}/{file}",
            authority,
            common_name=common_name,
            usage=usage,
            organizations=groups,
            hosts=list(hosts),
        )

    client = Usage.CLIENT
    return ServerCredentials(
        etcd_client=leaf("apiserver-etcd-client", pki.etcd, "kube-apiserver-etcd-client", client),
        kubelet_client=leaf(
            "apiserver-kubelet-client", pki.ca, "kube-apiserver-kubelet-client", client, "system:masters"
        ),
        front_proxy=leaf("front-proxy-client", pki.front_proxy, "front-proxy-client", client),
        api_server=leaf("apiserver", pki.ca, "kube-apiserver", Usage.SERVER, hosts=api_server_names(shape)),
        etcd_server=leaf("etcd-server", pki.etcd, name, Usage.PEER, hosts=members),
        etcd_peer=leaf("etcd-peer", pki.etcd, name, Usage.PEER, hosts=members),
        controller_manager=leaf("kube-controller-manager", pki.ca, CONTROLLER_MANAGER_USER, client),
        scheduler=leaf("kube-scheduler", pki.ca, SCHEDULER_USER, client),
        approver=leaf("approver", pki.ca, APPROVER_USER, client),
        encryption_key=state.encryption_key,
    )
