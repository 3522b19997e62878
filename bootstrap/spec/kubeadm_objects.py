"""What a stock `kubeadm join` reads from a cluster, under the names and with the rights that `kubeadm init` gives it.

A node that clusterup did not install joins with these and a token. They are for agents: nothing here lets kubeadm make
a server, whose etcd member and keys clusterup alone looks after.
Source: https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bootstrap.constants.paths import ETCD_DATA
from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP, LIMITED_GROUP
from bootstrap.inventory.model import Inventory
from bootstrap.spec.node_services import kubelet_config
from bootstrap.spec.topology import dns_of, joined_at

Manifest = dict[str, Any]
# The groups of tokens with which nodes join.
JOINING_GROUPS = (BOOTSTRAPPERS_GROUP, LIMITED_GROUP)
NODES_GROUP = "system:nodes"
GET_NODES = "kubeadm:get-nodes"
RBAC = "rbac.authorization.k8s.io"
CERTIFICATES = "/etc/kubernetes/pki"
# Minor release -> the version of kubeadm's configuration that came with it. kubeadm reads the one before as well.
CONFIGURATIONS = {31: "v1beta4", 22: "v1beta3", 0: "v1beta2"}
# From then on, the kubelets' settings carry no release in their name.
UNVERSIONED = 24


def kubeadm_objects(
    inventory: Inventory, kubernetes: str, groups: Sequence[str] = JOINING_GROUPS
) -> tuple[Manifest, ...]:
    """The cluster's and its kubelets' settings, and the rights to read them for nodes and for tokens of `groups`.

    `kubernetes` is the release that the cluster runs, as in "1.20.2".
    """
    minor = int(kubernetes.split(".")[1])
    kubelets = "kubelet-config" if minor >= UNVERSIONED else f"kubelet-config-1.{minor}"
    settings = kubelet_config(dns_of(inventory), inventory.cluster.domain, None, None).content.decode()
    readers = (*groups, NODES_GROUP)
    return (
        _config_map("kubeadm-config", {"ClusterConfiguration": _cluster_configuration(inventory, kubernetes, minor)}),
        _config_map(kubelets, {"kubelet": settings}),
        *_may_read("kubeadm:nodes-kubeadm-config", "kubeadm-config", readers),
        *_may_read(f"kubeadm:{kubelets}", kubelets, readers),
        # kubeadm looks whether the name is taken by a node that is there.
        _role("ClusterRole", GET_NODES, {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}),
        _binding("ClusterRole", GET_NODES, groups),
    )


def _cluster_configuration(inventory: Inventory, kubernetes: str, minor: int) -> str:
    import yaml

    host, port = joined_at(inventory)
    cluster = inventory.cluster
    configuration = {
        "apiVersion": f"kubeadm.k8s.io/{CONFIGURATIONS[max(since for since in CONFIGURATIONS if since <= minor)]}",
        "kind": "ClusterConfiguration",
        "certificatesDir": CERTIFICATES,
        "clusterName": cluster.name,
        "controlPlaneEndpoint": f"{host}:{port}",
        "etcd": {"local": {"dataDir": ETCD_DATA}},
        "kubernetesVersion": f"v{kubernetes}",
        "networking": {
            "dnsDomain": cluster.domain,
            "podSubnet": str(cluster.pod_cidr),
            "serviceSubnet": str(cluster.service_cidr),
        },
    }
    return yaml.safe_dump(configuration, sort_keys=False)


def _config_map(name: str, data: dict[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": data,
    }


def _may_read(role: str, config_map: str, groups: Sequence[str]) -> tuple[Manifest, Manifest]:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [config_map], "verbs": ["get"]}
    return _role("Role", role, rule), _binding("Role", role, groups)


def _role(kind: str, name: str, rule: Manifest) -> Manifest:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": _metadata(kind, name), "rules": [rule]}


def _binding(kind: str, name: str, groups: Sequence[str]) -> Manifest:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": _metadata(kind, name),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group} for group in groups],
    }


def _metadata(kind: str, name: str) -> dict[str, str]:
    return {"name": name, **({"namespace": "kube-system"} if kind == "Role" else {})}
