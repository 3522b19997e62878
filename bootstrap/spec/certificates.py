"""The certificates and kubeconfigs that a server's services read, in kubeadm's layout below /etc/kubernetes.

All are issued on the operator's machine and kept in its state by whoever acts: a second run finds the same bytes.
Source: https://kubernetes.io/docs/setup/best-practices/certificates/
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bootstrap.constants.objects import APPROVER_USER
from bootstrap.constants.paths import (
    APPROVER_JSON,
    CONTROLLER_MANAGER_CONF,
    ETCD_PKI,
    KUBERNETES_CA,
    KUBERNETES_PKI,
    SCHEDULER_CONF,
)
from bootstrap.constants.ports import API_PORT
from bootstrap.machine.units import NodeFile
from bootstrap.pki.kubeconfig import client_kubeconfig, to_yaml
from bootstrap.pki.store import ClusterPki, kept_leaf
from bootstrap.pki.x509 import KeyPair, Usage
from bootstrap.spec.encryption import encryption_file
from bootstrap.spec.topology import Shape, api_server_names
from bootstrap.state.cluster import ClusterState

APPROVER_FILE = "approver"


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What each service of a server reads."""

    etcd: tuple[NodeFile, ...]
    api_server: tuple[NodeFile, ...]
    controller_manager: tuple[NodeFile, ...]
    scheduler: tuple[NodeFile, ...]
    approver: tuple[NodeFile, ...]


def ca_file(pki: ClusterPki) -> NodeFile:
    """The cluster's authority, which every node knows."""
    return NodeFile(KUBERNETES_CA, pki.ca.cert_pem)


def server_files(shape: Shape, pki: ClusterPki, state: ClusterState) -> ServerFiles:
    """The certificates, keys and kubeconfigs of one server, made where the state has none that is still good.

    Raises Refused where another key for the encryption of Secrets would have to be made.
    """
    folder = f"pki/nodes/{shape.node.name}"
    name = shape.node.name
    members = [name, "localhost", "127.0.0.1", str(shape.node.address)]

    def leaf(file: str, authority: KeyPair, common_name: str, usage: Usage, *groups: str, hosts: list[str]) -> KeyPair:
        return kept_leaf(
            state.vault,
            f"{folder}/{file}",
            authority,
            common_name=common_name,
            usage=usage,
            organizations=groups,
            hosts=hosts,
        )

    ca = ca_file(pki)
    etcd_ca = NodeFile(f"{ETCD_PKI}/ca.crt", pki.etcd.cert_pem)
    etcd_client = leaf("apiserver-etcd-client", pki.etcd, "kube-apiserver-etcd-client", Usage.CLIENT, hosts=[])
    kubelet_client = leaf(
        "apiserver-kubelet-client", pki.ca, "kube-apiserver-kubelet-client", Usage.CLIENT, "system:masters", hosts=[]
    )
    front_proxy = leaf("front-proxy-client", pki.front_proxy, "front-proxy-client", Usage.CLIENT, hosts=[])
    serving = leaf("apiserver", pki.ca, "kube-apiserver", Usage.SERVER, hosts=list(api_server_names(shape)))
    front_proxy_ca = NodeFile(f"{KUBERNETES_PKI}/front-proxy-ca.crt", pki.front_proxy.cert_pem)
    service_account_key = NodeFile(f"{KUBERNETES_PKI}/sa.key", pki.service_account_key, 0o600)
    return ServerFiles(
        etcd=(
            etcd_ca,
            *_pair(f"{ETCD_PKI}/server", leaf("etcd-server", pki.etcd, name, Usage.PEER, hosts=members)),
            *_pair(f"{ETCD_PKI}/peer", leaf("etcd-peer", pki.etcd, name, Usage.PEER, hosts=members)),
        ),
        api_server=(
            ca,
            etcd_ca,
            front_proxy_ca,
            *_pair(f"{KUBERNETES_PKI}/apiserver", serving),
            *_pair(f"{KUBERNETES_PKI}/apiserver-etcd-client", etcd_client),
            *_pair(f"{KUBERNETES_PKI}/apiserver-kubelet-client", kubelet_client),
            *_pair(f"{KUBERNETES_PKI}/front-proxy-client", front_proxy),
            service_account_key,
            NodeFile(f"{KUBERNETES_PKI}/sa.pub", pki.service_account_public),
            encryption_file(state),
        ),
        controller_manager=(
            ca,
            NodeFile(f"{KUBERNETES_PKI}/ca.key", pki.ca.key_pem, 0o600),
            front_proxy_ca,
            service_account_key,
            _kubeconfig(CONTROLLER_MANAGER_CONF, shape, pki, "system:kube-controller-manager", state),
        ),
        scheduler=(ca, _kubeconfig(SCHEDULER_CONF, shape, pki, "system:kube-scheduler", state)),
        approver=(
            ca,
            _approver_settings(),
            *_pair(
                f"{KUBERNETES_PKI}/{APPROVER_FILE}", leaf(APPROVER_FILE, pki.ca, APPROVER_USER, Usage.CLIENT, hosts=[])
            ),
        ),
    )


def _kubeconfig(path: str, shape: Shape, pki: ClusterPki, user: str, state: ClusterState) -> NodeFile:
    """The kubeconfig of a part of the control plane, which talks to the API server beside it."""
    client = kept_leaf(
        state.vault,
        f"pki/nodes/{shape.node.name}/{user.removeprefix('system:')}",
        pki.ca,
        common_name=user,
        usage=Usage.CLIENT,
    )
    kubeconfig = client_kubeconfig(
        shape.inventory.cluster.name, f"https://127.0.0.1:{API_PORT}", pki.ca.cert_pem, user, client
    )
    return NodeFile(path, to_yaml(kubeconfig), 0o600)


def _approver_settings() -> NodeFile:
    """Where the approver finds the API server, and what it shows it."""
    settings = {
        "server": f"https://127.0.0.1:{API_PORT}",
        "ca": KUBERNETES_CA,
        "certificate": f"{KUBERNETES_PKI}/{APPROVER_FILE}.crt",
        "key": f"{KUBERNETES_PKI}/{APPROVER_FILE}.key",
    }
    return NodeFile(APPROVER_JSON, (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode())


def _pair(path: str, pair: KeyPair) -> tuple[NodeFile, NodeFile]:
    return NodeFile(f"{path}.crt", pair.cert_pem), NodeFile(f"{path}.key", pair.key_pem, 0o600)
