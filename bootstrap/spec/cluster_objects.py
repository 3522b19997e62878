"""Objects that clusterup keeps in every cluster, under the names that kubeadm gives them where it has them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
"""

from __future__ import annotations

from bootstrap.constants.objects import DNS_NAMESPACE, DNS_SERVICE, KEPT_LABEL
from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP
from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Inventory
from bootstrap.machine.objects import Manifest
from bootstrap.pki.token import cluster_info
from bootstrap.spec.dns import answers
from bootstrap.spec.join_manifest_build import access_objects
from bootstrap.spec.kubeadm_objects import kubeadm_objects
from bootstrap.spec.topology import dns_of, servers_of
from bootstrap.tokens.rbac import token_objects

NODES = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}
BOOTSTRAPPERS = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": BOOTSTRAPPERS_GROUP}


def kept(manifest: Manifest) -> Manifest:
    """The object, marked as one that clusterup keeps."""
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **KEPT_LABEL}}}


def _binding(name: str, role: str, subject: dict[str, str]) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def base_objects() -> tuple[Manifest, ...]:
    """What lets a kubelet with a bootstrap token ask for its certificate and later renew it by itself, and a node run
    kube-proxy. Who decides about the first one is clusterup's approver alone: see `UNWANTED`."""
    signing = "system:certificates.k8s.io:certificatesigningrequests"
    return (
        _binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", BOOTSTRAPPERS),
        _binding("kubeadm:node-autoapprove-certificate-rotation", f"{signing}:selfnodeclient", NODES),
        # kube-proxy and the pod network's agent use the kubelet's certificate: one identity a node.
        _binding("clusterup:node-proxier", "system:node-proxier", NODES),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "clusterup:node-network"},
            "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}],
        },
        _binding("clusterup:node-network", "clusterup:node-network", NODES),
    )


def dns_objects(inventory: Inventory, versions: Versions) -> tuple[Manifest, ...]:
    """The Service that keeps the address of the cluster's DNS from being given to another one, where the nodes answer
    there. kube-proxy leaves it alone: each node has the address itself.

    Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#servicekubernetesioservice-proxy-name
    """
    if not answers(inventory, versions):
        return ()
    labels = {"k8s-app": DNS_SERVICE, "service.kubernetes.io/service-proxy-name": "clusterup"}
    ports = [
        {"name": name, "port": 53, "protocol": protocol} for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    return (
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": DNS_SERVICE, "namespace": DNS_NAMESPACE, "labels": labels},
            "spec": {"clusterIP": str(dns_of(inventory)), "ports": ports, "type": "ClusterIP"},
        },
    )


def cluster_objects(server_url: str, ca_pem: bytes, inventory: Inventory, kubernetes: str) -> tuple[Manifest, ...]:
    """All objects that clusterup keeps: `base_objects`, what `kubeadm join` reads, and the description of the cluster
    that joining nodes read without having shown who they are; each token signs it (kubeadm's cluster-info).

    `kubernetes` is the release that the cluster runs, as in "1.20.2".
    """
    role = "kubeadm:bootstrap-signer-clusterinfo"
    return (
        *base_objects(),
        *kubeadm_objects(inventory, kubernetes),
        *access_objects(),
        *token_objects(servers_of(inventory)),
        cluster_info(server_url, ca_pem),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": role, "namespace": "kube-public"},
            "rules": [
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"]}
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": "kube-public"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:anonymous"}],
        },
    )
