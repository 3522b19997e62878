"""A real API server over a real etcd, with our own PKI, and controllers. Kubernetes is built on first use and kept."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrap.clients.etcd import EtcdClient
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.image.architecture import AMD64
from bootstrap.image.kubernetes_debian import build_kubernetes
from bootstrap.pki.kubeconfig import client_kubeconfig, write_kubeconfig
from bootstrap.pki.store import ClusterPki
from bootstrap.pki.x509 import Usage, issue
from bootstrap.spec.encryption import encryption_file
from bootstrap.state.cluster import ClusterState
from tests.helpers.daemons import daemon, free_ports, wait_for
from tests.helpers.quorum import Place, Quorum


@dataclass
class ApiServer:
    """Where it listens, who signed it, where its programs and its files are, the etcd behind it, and the processes of
    both."""

    port: int
    pki: ClusterPki
    programs: Path
    folder: Path
    quorum: Quorum
    member: Place
    processes: tuple[subprocess.Popen[bytes], ...]

    @property
    def pki_folder(self) -> Path:
        """Where the files of `pki` are."""
        return self.folder / "pki"

    def client(self, server_name: str = "kubernetes") -> KubeClient:
        admin = issue(self.pki.ca, common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
        return KubeClient("127.0.0.1", self.port, ca_pem=self.pki.ca.cert_pem, client=admin, server_name=server_name)

    def etcd(self) -> EtcdClient:
        """What the API server keeps, as it keeps it."""
        return self.quorum.client(self.member)


@contextmanager
def running_api_server(folder: Path) -> Iterator[ApiServer]:
    """kube-apiserver with bootstrap tokens and encrypted Secrets, ready."""
    programs, _ = build_kubernetes(AMD64, print)
    state = ClusterState(folder)
    pki, secrets = state.pki, encryption_file(state.encryption_key)
    state.keep_made()
    operator = issue(pki.etcd, common_name="apiserver", usage=Usage.CLIENT)
    quorum = Quorum(folder, pki.etcd, operator)
    place = quorum.place("s1")
    serving = issue(pki.ca, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["kubernetes", "127.0.0.1"])
    for name, content in (
        ("apiserver.crt", serving.cert_pem),
        ("apiserver.key", serving.key_pem),
        ("etcd-client.crt", operator.cert_pem),
        ("etcd-client.key", operator.key_pem),
    ):
        (folder / name).write_bytes(content)
    (folder / "encryption.yaml").write_bytes(secrets.content)
    (port,) = free_ports(1)
    argv = [
        str(programs / "kube-apiserver"),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--authorization-mode=Node,RBAC",
        "--enable-bootstrap-token-auth=true",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={folder}/pki/sa.pub",
        f"--service-account-signing-key-file={folder}/pki/sa.key",
        f"--client-ca-file={folder}/pki/ca.crt",
        f"--tls-cert-file={folder}/apiserver.crt",
        f"--tls-private-key-file={folder}/apiserver.key",
        f"--etcd-servers=https://127.0.0.1:{place.client_port}",
        f"--etcd-cafile={folder}/pki/etcd/ca.crt",
        f"--etcd-certfile={folder}/etcd-client.crt",
        f"--etcd-keyfile={folder}/etcd-client.key",
        f"--encryption-provider-config={folder}/encryption.yaml",
        f"--cert-dir={folder}",
    ]
    with quorum.member(place, {}, "new") as etcd, daemon(argv, folder / "apiserver.log") as process:
        server = ApiServer(port, pki, programs, folder, quorum, place, (process, etcd))
        with server.client() as client:
            wait_for(client.ready, "the API server's readiness", 120)
        yield server


SIGNER = "bootstrapsigner"
OF_TOKENS = f"tokencleaner,{SIGNER},csrapproving,csrsigning,garbagecollector"


@contextmanager
def running_controllers(api_server: ApiServer, folder: Path, controllers: str = OF_TOKENS) -> Iterator[None]:
    """kube-controller-manager at work: with what tokens and kubelets' certificates need of it, or these `controllers`
    alone."""
    admin = issue(api_server.pki.ca, common_name="controllers", usage=Usage.CLIENT, organizations=["system:masters"])
    url, pki = f"https://127.0.0.1:{api_server.port}", api_server.pki
    write_kubeconfig(folder / "kubeconfig", client_kubeconfig("lab", url, pki.ca.cert_pem, "controllers", admin))
    argv = [
        str(api_server.programs / "kube-controller-manager"),
        "--bind-address=127.0.0.1",
        f"--secure-port={free_ports(1)[0]}",
        "--port=0",
        f"--cert-dir={folder}",
        f"--kubeconfig={folder}/kubeconfig",
        "--leader-elect=false",
        f"--controllers={controllers}",
        f"--cluster-signing-cert-file={api_server.pki_folder}/ca.crt",
        f"--cluster-signing-key-file={api_server.pki_folder}/ca.key",
    ]
    with daemon(argv, folder / "controllers.log"):
        yield
