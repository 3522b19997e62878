"""A stock `kubeadm join` against a cluster with our objects and a token of ours."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.constants.objects import UNWANTED
from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP, LIMITED_GROUP, USES
from bootstrap.machine.objects import Manifest
from bootstrap.phases.control_plane import says_the_same
from bootstrap.pki.kubeconfig import client_kubeconfig, write_kubeconfig
from bootstrap.pki.token import ca_pin, new_token, token_secret
from bootstrap.pki.x509 import Usage, issue, new_authority, signed_by
from bootstrap.protocol.token import Token
from bootstrap.spec.cluster_objects import cluster_objects
from bootstrap.spec.node_services import kubelet_config
from bootstrap.spec.topology import dns_of
from bootstrap.tokens.limited import counted_token_objects
from tests.helpers.daemons import daemon, free_ports, wait_for
from tests.helpers.worlds import inventory
from tests.integration.kube.approvers import running_approvers
from tests.integration.kube.joining.stranger import Stranger, new_stranger
from tests.integration.kube.servers import ApiServer

AUTOMATIC = "kubeadm:node-autoapprove-bootstrap"
# Those that have a part in a join, and those that give them their accounts.
CONTROLLERS = "bootstrapsigner,tokencleaner,csrapproving,csrsigning,serviceaccount,serviceaccount-token"


@dataclass(frozen=True)
class Cluster:
    """A cluster that can be joined."""

    server: ApiServer
    objects: tuple[Manifest, ...]

    @property
    def admin(self) -> dict[str, Any]:
        """A kubeconfig of somebody who may do everything."""
        pki = self.server.pki
        shown = issue(pki.ca, common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
        return client_kubeconfig("lab", f"https://{self.endpoint}", pki.ca.cert_pem, "admin", shown)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def token(self, group: str = LIMITED_GROUP) -> Token:
        """A new token for one node, after the control plane has signed the cluster's description for it; one of
        kubeadm's own group counts nothing."""
        token = new_token()
        expires = datetime.now(UTC) + timedelta(hours=1)
        with self.server.client() as client:
            uses = {USES: "1"}
            secret = token_secret(token, expires=expires, description="a test", groups=(group,), annotations=uses)
            for manifest in counted_token_objects(token.id, client.apply(secret)):
                client.apply(manifest)

            def signed() -> bool:
                found = client.get("ConfigMap", "cluster-info", "kube-public")
                return found is not None and f"jws-kubeconfig-{token.id}" in found["data"]

            wait_for(signed, "the signature of cluster-info")
        return token

    def arguments(self, token: Token, pin: str | None = None) -> list[str]:
        """What stands in a join line."""
        pin = pin or ca_pin(self.server.pki.ca.cert_pem)
        return [self.endpoint, f"--token={token.reveal()}", f"--discovery-token-ca-cert-hash={pin}"]


@pytest.fixture(scope="module")
def cluster(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The API server with all objects of ours, and a controller manager that signs and approves."""
    folder = tmp_path_factory.mktemp("controllers")
    pki = api_server.pki
    url = f"https://127.0.0.1:{api_server.port}"
    user = "system:kube-controller-manager"
    shown = issue(pki.ca, common_name=user, usage=Usage.CLIENT)
    write_kubeconfig(folder / "kubeconfig", client_kubeconfig("lab", url, pki.ca.cert_pem, user, shown))
    objects = cluster_objects(url, pki.ca.cert_pem, inventory(), "1.20.2")
    with api_server.client() as client:
        for manifest in objects:
            client.apply(manifest)
    (port,) = free_ports(1)
    argv = [
        str(api_server.programs / "kube-controller-manager"),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--port=0",
        f"--cert-dir={folder}",
        f"--kubeconfig={folder}/kubeconfig",
        f"--controllers={CONTROLLERS}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={api_server.pki_folder}/sa.key",
        f"--root-ca-file={api_server.pki_folder}/ca.crt",
        f"--cluster-signing-cert-file={api_server.pki_folder}/ca.crt",
        f"--cluster-signing-key-file={api_server.pki_folder}/ca.key",
    ]
    with daemon(argv, folder / "log"), running_approvers(api_server, folder):
        yield Cluster(api_server, objects)


@pytest.fixture
def stranger(tmp_path: Path, api_server: ApiServer) -> Stranger:
    return new_stranger(tmp_path, api_server.programs)


def test_its_preflight_reads_the_cluster_s_settings_with_the_token_alone(cluster: Cluster, stranger: Stranger) -> None:
    done = stranger.preflight(*cluster.arguments(cluster.token()))
    assert done.returncode == 0, done.stderr
    assert "Reading configuration from the cluster" in done.stdout
    assert not stranger.file("/etc/kubernetes").exists()


def test_a_pin_of_another_authority_ends_it_before_it_shows_more_than_the_token(
    cluster: Cluster, stranger: Stranger
) -> None:
    pin = ca_pin(new_authority("kubernetes").cert_pem)
    done = stranger.preflight(*cluster.arguments(cluster.token(), pin))
    assert done.returncode != 0
    assert "pin" in done.stderr
    assert "Reading configuration from the cluster" not in done.stdout


@pytest.mark.parametrize("group", [LIMITED_GROUP, BOOTSTRAPPERS_GROUP], ids=["clusterup's token", "kubeadm's token"])
def test_it_joins_as_far_as_a_machine_without_a_runtime_can(cluster: Cluster, stranger: Stranger, group: str) -> None:
    token = cluster.token(group)
    with stranger.joining(*cluster.arguments(token), "--node-name=stranger"):
        wait_for(lambda: "perform the TLS Bootstrap" in stranger.log("join").read_text(), "the kubelet's turn")
        shown = yaml.safe_load(stranger.file("/etc/kubernetes/bootstrap-kubelet.conf").read_bytes())
        # What a systemd would start now.
        with stranger.kubelet():
            wait_for(stranger.has_client_certificate, "the kubelet's certificate")
    assert shown["clusters"][0]["cluster"]["server"] == f"https://{cluster.endpoint}"
    assert shown["users"][0]["user"] == {"token": token.reveal()}
    assert stranger.file("/etc/kubernetes/pki/ca.crt").read_bytes() == cluster.server.pki.ca.cert_pem
    ours = yaml.safe_load(kubelet_config(dns_of(inventory()), "cluster.local", None, None).content)
    theirs = yaml.safe_load(stranger.file("/var/lib/kubelet/config.yaml").read_bytes())
    assert (ours.pop("runtimeRequestTimeout"), theirs.pop("runtimeRequestTimeout")) == ("10m", "10m0s")
    assert says_the_same(ours, theirs)
    (certificate,) = stranger.client_certificates()
    subject = subprocess.run(
        ["openssl", "x509", "-noout", "-subject"], input=certificate, capture_output=True, check=True
    ).stdout.decode()
    assert "CN = system:node:stranger" in subject
    assert signed_by(certificate, cluster.server.pki.ca.cert_pem)


def test_a_machine_that_may_not_have_its_name_finds_the_reason_in_its_kubelet_s_journal(
    cluster: Cluster, stranger: Stranger
) -> None:
    with stranger.joining(*cluster.arguments(cluster.token()), "--node-name=s1"):
        wait_for(lambda: "perform the TLS Bootstrap" in stranger.log("join").read_text(), "the kubelet's turn")
        with stranger.kubelet():
            wait_for(lambda: "the name s1 is a server's" in stranger.log("kubelet").read_text(), "the reason")
    assert stranger.client_certificates() == []


def test_the_rights_are_those_that_kubeadm_init_gives(cluster: Cluster, stranger: Stranger) -> None:
    ours = [manifest for manifest in cluster.objects if manifest["metadata"]["name"].startswith("kubeadm:")]
    settings = next(m["data"] for m in cluster.objects if m["metadata"]["name"] == "kubeadm-config")
    first = {
        "apiVersion": "kubeadm.k8s.io/v1beta2",
        "kind": "InitConfiguration",
        "nodeRegistration": {"name": "first", "criSocket": "/run/containerd/containerd.sock"},
    }
    stranger.file("/etc/init.yaml").write_text(f"{yaml.safe_dump(first)}---\n{settings['ClusterConfiguration']}")
    write_kubeconfig(stranger.file("/etc/admin.conf"), cluster.admin)
    with cluster.server.client() as client:
        # It would look in ours for servers that kubeadm has made.
        client.delete("ConfigMap", "kubeadm-config", "kube-system")
        # It notes the machine's runtime on its Node.
        labels = {"kubernetes.io/hostname": "first"}
        client.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "first", "labels": labels}})
        for phase in (("bootstrap-token",), ("upload-config", "kubeadm"), ("upload-config", "kubelet")):
            done = stranger.kubeadm("init", "phase", *phase, "--config=/etc/init.yaml", "--kubeconfig=/etc/admin.conf")
            assert done.returncode == 0, done.stderr
        for manifest in ours:
            metadata = manifest["metadata"]
            found = client.get(manifest["kind"], metadata["name"], metadata.get("namespace"))
            assert found is not None, manifest
            assert found.get("rules") == manifest.get("rules")
            assert found.get("roleRef") == manifest.get("roleRef")
            # Counted tokens are of clusterup's own.
            assert names(found) == names(manifest) - {("Group", LIMITED_GROUP)}, metadata["name"]
        # What kubeadm makes beside these lets any token take any name: the next apply takes it out.
        of_kubeadm = client.get("ClusterRoleBinding", AUTOMATIC)
        assert of_kubeadm is not None
        assert ("ClusterRoleBinding", AUTOMATIC) in UNWANTED
        client.delete("ClusterRoleBinding", AUTOMATIC)


def names(binding: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Who is bound."""
    return {(subject["kind"], subject["name"]) for subject in binding.get("subjects", ())}
