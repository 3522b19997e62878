"""What a stock `kubeadm join` reads: named as its release names it, and said in the words that it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.constants.paths import KUBELET_YAML
from bootstrap.machine.objects import object_key
from bootstrap.spec.cluster_objects import kept
from bootstrap.spec.kubeadm_objects import kubeadm_objects
from bootstrap.spec.node_services import LEARNED_RESOLVERS
from tests.helpers.worlds import intent, inventory

TOKENS = "system:bootstrappers:kubeadm:default-node-token"
COUNTED = "system:bootstrappers:clusterup:counted"


def objects(kubernetes: str, *groups: str) -> dict[str, dict[str, Any]]:
    made = kubeadm_objects(inventory(), kubernetes, groups) if groups else kubeadm_objects(inventory(), kubernetes)
    return {object_key(manifest): manifest for manifest in made}


def configuration(kubernetes: str, **cluster: object) -> dict[str, Any]:
    (first, *_) = kubeadm_objects(inventory(**cluster), kubernetes)
    found: dict[str, Any] = yaml.safe_load(first["data"]["ClusterConfiguration"])
    return found


def groups_of(binding: dict[str, Any]) -> list[str]:
    return [subject["name"] for subject in binding["subjects"]]


def test_every_cluster_has_them(tmp_path: Path) -> None:
    there = {object_key(manifest): manifest for manifest in intent(tmp_path).objects}
    assert {name: kept(manifest) for name, manifest in objects("1.20.2").items()}.items() <= there.items()


@pytest.mark.parametrize(
    ("kubernetes", "api", "kubelets"),
    [
        ("1.20.2", "kubeadm.k8s.io/v1beta2", "kubelet-config-1.20"),
        ("1.22.0", "kubeadm.k8s.io/v1beta3", "kubelet-config-1.22"),
        ("1.23.17", "kubeadm.k8s.io/v1beta3", "kubelet-config-1.23"),
        ("1.24.0", "kubeadm.k8s.io/v1beta3", "kubelet-config"),
        ("1.30.14", "kubeadm.k8s.io/v1beta3", "kubelet-config"),
        ("1.31.0-rc.1", "kubeadm.k8s.io/v1beta4", "kubelet-config"),
        ("1.35.0", "kubeadm.k8s.io/v1beta4", "kubelet-config"),
    ],
)
def test_names_and_versions_are_those_of_the_cluster_s_release(kubernetes: str, api: str, kubelets: str) -> None:
    assert configuration(kubernetes)["apiVersion"] == api
    assert configuration(kubernetes)["kubernetesVersion"] == f"v{kubernetes}"
    assert set(objects(kubernetes)) == {
        "ConfigMap/kube-system/kubeadm-config",
        f"ConfigMap/kube-system/{kubelets}",
        "Role/kube-system/kubeadm:nodes-kubeadm-config",
        "RoleBinding/kube-system/kubeadm:nodes-kubeadm-config",
        f"Role/kube-system/kubeadm:{kubelets}",
        f"RoleBinding/kube-system/kubeadm:{kubelets}",
        "ClusterRole/kubeadm:get-nodes",
        "ClusterRoleBinding/kubeadm:get-nodes",
    }
    (rule,) = objects(kubernetes)[f"Role/kube-system/kubeadm:{kubelets}"]["rules"]
    assert rule["resourceNames"] == [kubelets]


def test_the_cluster_is_described_as_the_inventory_has_it() -> None:
    found = configuration("1.20.2", endpoint="api.example", domain="home.arpa", pod_cidr="10.1.0.0/16")
    assert found["controlPlaneEndpoint"] == "api.example:6443"
    assert found["clusterName"] == "lab"
    assert found["networking"]["dnsDomain"] == "home.arpa"
    assert found["networking"]["podSubnet"] == "10.1.0.0/16"


@pytest.mark.parametrize(("endpoint", "joined"), [("127.0.0.1:7443", "10.77.0.11:6443"), ("api.example", None)])
def test_no_machine_is_told_to_join_at_the_operator_s_own(tmp_path: Path, endpoint: str, joined: str | None) -> None:
    place = joined or f"{endpoint}:6443"
    kept = {object_key(manifest): manifest for manifest in intent(tmp_path, endpoint=endpoint).objects}
    assert configuration("1.20.2", endpoint=endpoint)["controlPlaneEndpoint"] == place
    assert f"https://{place}" in kept["ConfigMap/kube-public/cluster-info"]["data"]["kubeconfig"]


def test_others_kubelets_get_the_settings_that_ours_have(tmp_path: Path) -> None:
    ours = next(file for file in intent(tmp_path).nodes["a1"].files if file.path == KUBELET_YAML)
    theirs = objects("1.20.2")["ConfigMap/kube-system/kubelet-config-1.20"]["data"]["kubelet"]
    # Whether systemd-resolved runs on a node that clusterup did not install is not known.
    assert {**yaml.safe_load(theirs), "resolvConf": LEARNED_RESOLVERS} == yaml.safe_load(ours.content)
    # Where `kubeadm join` puts the cluster's authority.
    assert yaml.safe_load(theirs)["authentication"]["x509"]["clientCAFile"] == "/etc/kubernetes/pki/ca.crt"


def test_tokens_and_nodes_may_read_the_settings_and_tokens_alone_look_for_a_taken_name() -> None:
    made = objects("1.20.2")
    assert groups_of(made["RoleBinding/kube-system/kubeadm:nodes-kubeadm-config"]) == [TOKENS, COUNTED, "system:nodes"]
    assert groups_of(made["RoleBinding/kube-system/kubeadm:kubelet-config-1.20"]) == [TOKENS, COUNTED, "system:nodes"]
    assert groups_of(made["ClusterRoleBinding/kubeadm:get-nodes"]) == [TOKENS, COUNTED]


def test_another_group_of_tokens_gets_the_same_rights() -> None:
    for name, manifest in objects("1.20.2", TOKENS, "system:bootstrappers:more").items():
        if "Binding/" in name:
            assert groups_of(manifest)[:2] == [TOKENS, "system:bootstrappers:more"]
