"""The certificates and kubeconfigs that a server's services read, in kubeadm's layout below /etc/kubernetes.

Source: https://kubernetes.io/docs/setup/best-practices/certificates/
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bootstrap.constants.objects import CONTROLLER_MANAGER_USER, SCHEDULER_USER
from bootstrap.constants.paths import (
    APPROVER_JSON,
    CONTROLLER_MANAGER_CONF,
    ETCD_PKI,
    KUBERNETES_CA,
    KUBERNETES_PKI,
    SCHEDULER_CONF,
)
from bootstrap.constants.ports import API_PORT
from bootstrap.pki.kubeconfig import client_kubeconfig, to_yaml
from bootstrap.pki.store import ClusterPki
from bootstrap.pki.x509 import KeyPair
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.credentials import ServerCredentials
from bootstrap.spec.encryption import encryption_file
from bootstrap.spec.topology import Shape

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


def server_files(shape: Shape, pki: ClusterPki, own: ServerCredentials) -> ServerFiles:
    """The certificates, keys and kubeconfigs of one server."""
    ca = ca_file(pki)
    etcd_ca = NodeFile(f"{ETCD_PKI}/ca.crt", pki.etcd.cert_pem)
    front_proxy_ca = NodeFile(f"{KUBERNETES_PKI}/front-proxy-ca.crt", pki.front_proxy.cert_pem)
    service_account_key = NodeFile(f"{KUBERNETES_PKI}/sa.key", pki.service_account_key, 0o600)

    def kubeconfig(path: str, user: str, client: KeyPair) -> NodeFile:
        """That of a part of the control plane, which talks to the API server beside it."""
        url = f"https://127.0.0.1:{API_PORT}"
        made = client_kubeconfig(shape.inventory.cluster.name, url, pki.ca.cert_pem, user, client)
        return NodeFile(path, to_yaml(made), 0o600)

    return ServerFiles(
        etcd=(
            etcd_ca,
            *_pair(f"{ETCD_PKI}/server", own.etcd_server),
            *_pair(f"{ETCD_PKI}/peer", own.etcd_peer),
        ),
        api_server=(
            ca,
            etcd_ca,
            front_proxy_ca,
            *_pair(f"{KUBERNETES_PKI}/apiserver", own.api_server),
            *_pair(f"{KUBERNETES_PKI}/apiserver-etcd-client", own.etcd_client),
            *_pair(f"{KUBERNETES_PKI}/apiserver-kubelet-client", own.kubelet_client),
            *_pair(f"{KUBERNETES_PKI}/front-proxy-client", own.front_proxy),
            service_account_key,
            NodeFile(f"{KUBERNETES_PKI}/sa.pub", pki.service_account_public),
            encryption_file(own.encryption_key),
        ),
        controller_manager=(
            ca,
            NodeFile(f"{KUBERNETES_PKI}/ca.key", pki.ca.key_pem, 0o600),
            front_proxy_ca,
            service_account_key,
            kubeconfig(CONTROLLER_MANAGER_CONF, CONTROLLER_MANAGER_USER, own.controller_manager),
        ),
        scheduler=(ca, kubeconfig(SCHEDULER_CONF, SCHEDULER_USER, own.scheduler)),
        approver=(ca, _approver_settings(), *_pair(f"{KUBERNETES_PKI}/{APPROVER_FILE}", own.approver)),
    )


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
