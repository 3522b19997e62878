"""The control plane of a server: kube-apiserver, kube-controller-manager and kube-scheduler as services.

Flags are those that kubeadm gives its static pods, where both know the flag.
Source: https://kubernetes.io/docs/reference/command-line-tools-reference/
"""

from __future__ import annotations

from bootstrap.constants.paths import (
    APPROVER_JSON,
    CONTROLLER_MANAGER_CONF,
    ENCRYPTION_YAML,
    KUBERNETES_PKI,
    SCHEDULER_CONF,
)
from bootstrap.constants.ports import API_PORT, ETCD_CLIENT_PORT
from bootstrap.inventory.flags import ADMISSION, NODE_RESTRICTION, with_admission
from bootstrap.machine.units import Unit, flags
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.topology import Shape

# From 1.24 on, the flags that closed the unauthenticated ports are gone, and the ports with them.
INSECURE_PORTS_GONE = 24


def api_server_unit(shape: Shape, pki: tuple[NodeFile, ...]) -> Unit:
    """kube-apiserver, talking to the etcd member beside it."""
    given = {
        "advertise-address": str(shape.node.address),
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "client-ca-file": f"{KUBERNETES_PKI}/ca.crt",
        ADMISSION: NODE_RESTRICTION,
        "enable-bootstrap-token-auth": "true",
        "encryption-provider-config": ENCRYPTION_YAML,
        "etcd-cafile": f"{KUBERNETES_PKI}/etcd/ca.crt",
        "etcd-certfile": f"{KUBERNETES_PKI}/apiserver-etcd-client.crt",
        "etcd-keyfile": f"{KUBERNETES_PKI}/apiserver-etcd-client.key",
        "etcd-servers": f"https://127.0.0.1:{ETCD_CLIENT_PORT}",
        "kubelet-client-certificate": f"{KUBERNETES_PKI}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{KUBERNETES_PKI}/apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
        "proxy-client-cert-file": f"{KUBERNETES_PKI}/front-proxy-client.crt",
        "proxy-client-key-file": f"{KUBERNETES_PKI}/front-proxy-client.key",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-client-ca-file": f"{KUBERNETES_PKI}/front-proxy-ca.crt",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "secure-port": str(API_PORT),
        "service-account-issuer": f"https://kubernetes.default.svc.{shape.inventory.cluster.domain}",
        "service-account-key-file": f"{KUBERNETES_PKI}/sa.pub",
        "service-account-signing-key-file": f"{KUBERNETES_PKI}/sa.key",
        "service-cluster-ip-range": str(shape.service_cidr),
        "tls-cert-file": f"{KUBERNETES_PKI}/apiserver.crt",
        "tls-private-key-file": f"{KUBERNETES_PKI}/apiserver.key",
    }
    more = shape.inventory.kubernetes.api_server_args
    return Unit(
        name="kube-apiserver.service",
        description="Kubernetes API server",
        kind="notify",
        argv=("/usr/bin/kube-apiserver", *flags(given, with_admission(given[ADMISSION], more))),
        files=pki,
        after=("etcd.service", "network-online.target", "systemd-sysext.service"),
        wants=("etcd.service", "network-online.target"),
        settings=("LimitNOFILE=65536", "CPUWeight=300"),
    )


def controller_manager_unit(shape: Shape, files: tuple[NodeFile, ...]) -> Unit:
    """kube-controller-manager, which hands out pod ranges and signs kubelets' certificates."""
    given = {
        "allocate-node-cidrs": "true",
        "authentication-kubeconfig": CONTROLLER_MANAGER_CONF,
        "authorization-kubeconfig": CONTROLLER_MANAGER_CONF,
        "bind-address": "127.0.0.1",
        "client-ca-file": f"{KUBERNETES_PKI}/ca.crt",
        "cluster-cidr": str(shape.pod_cidr),
        "cluster-name": shape.inventory.cluster.name,
        "cluster-signing-cert-file": f"{KUBERNETES_PKI}/ca.crt",
        "cluster-signing-key-file": f"{KUBERNETES_PKI}/ca.key",
        "controllers": "*,bootstrapsigner,tokencleaner",
        "kubeconfig": CONTROLLER_MANAGER_CONF,
        "leader-elect": "true",
        "requestheader-client-ca-file": f"{KUBERNETES_PKI}/front-proxy-ca.crt",
        "root-ca-file": f"{KUBERNETES_PKI}/ca.crt",
        "service-account-private-key-file": f"{KUBERNETES_PKI}/sa.key",
        "service-cluster-ip-range": str(shape.service_cidr),
        "use-service-account-credentials": "true",
    }
    if shape.versions.minor < INSECURE_PORTS_GONE:
        given["port"] = "0"
    return Unit(
        name="kube-controller-manager.service",
        description="Kubernetes controller manager",
        argv=("/usr/bin/kube-controller-manager", *flags(given, shape.inventory.kubernetes.controller_manager_args)),
        files=files,
        after=("kube-apiserver.service",),
    )


def scheduler_unit(shape: Shape, files: tuple[NodeFile, ...]) -> Unit:
    """kube-scheduler."""
    given = {
        "authentication-kubeconfig": SCHEDULER_CONF,
        "authorization-kubeconfig": SCHEDULER_CONF,
        "bind-address": "127.0.0.1",
        "kubeconfig": SCHEDULER_CONF,
        "leader-elect": "true",
    }
    if shape.versions.minor < INSECURE_PORTS_GONE:
        given["port"] = "0"
    return Unit(
        name="kube-scheduler.service",
        description="Kubernetes scheduler",
        argv=("/usr/bin/kube-scheduler", *flags(given, shape.inventory.kubernetes.scheduler_args)),
        files=files,
        after=("kube-apiserver.service",),
    )


def approver_unit(_: Shape, files: tuple[NodeFile, ...]) -> Unit:
    """clusterup's own approver of kubelets that join with tokens."""
    return Unit(
        name="clusterup-approver.service",
        description="Answers to kubelets that join with tokens",
        argv=("/usr/bin/clusterup-node", "approve", APPROVER_JSON),
        files=files,
        after=("kube-apiserver.service",),
    )
