"""A real cluster of so many Nodes, and machines that are folders which join it by `clusterup-node join`: for
scripts/bench-join."""

from __future__ import annotations

import json
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import bootstrap
from bootstrap.pki.token import ca_pin, new_token, token_secret
from bootstrap.pki.x509 import Usage, issue
from bootstrap.protocol.token import Token
from bootstrap.spec.cluster_objects import base_objects
from bootstrap.tokens.rbac import token_objects
from tests.helpers.daemons import wait_for
from tests.helpers.measured import Used, measured
from tests.integration.kube.approvers import running_approvers
from tests.integration.kube.folders import ADDRESS, made_machine, served_artifacts
from tests.integration.kube.kubelets import asked
from tests.integration.kube.servers import ApiServer, running_api_server, running_controllers
from tests.simulator.crowd import crowd_node, name_of

ROOT = Path(bootstrap.__file__).parents[1]
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
PODS_OF_A_NODE = 5
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Joined:
    """A join: what its process used, CPU seconds of the API server and of etcd meanwhile."""

    used: Used
    api_server: float
    etcd: float


@dataclass
class RealCluster:
    """An API server, etcd and controllers that hold so many Nodes."""

    server: ApiServer
    artifacts: int
    folder: Path
    token: Token
    nodes: int = 0
    _joined: int = field(default=0, init=False)

    def grow(self, nodes: int) -> None:
        """Have so many Nodes in it, each with its lease, some pods, and the request with which it joined just now."""
        added = range(self.nodes, nodes)
        requests = [asked(self.server, self.token.reveal(), name_of(number)) for number in added]
        with self.server.client() as api:

            def all_signed() -> bool:
                found = api.list("CertificateSigningRequest")
                signed = {csr["metadata"]["name"] for csr in found if csr["status"].get("certificate")}
                return {csr["metadata"]["name"] for csr in requests} <= signed

            wait_for(all_signed, "the certificates of all", 300)
        with self._administrator() as client:
            for number in added:
                self._add(client, number)
        self.nodes = nodes

    def join(self) -> Joined:
        """One machine joins, in processes of its own, and is taken out again."""
        self._joined += 1
        name = f"j{self._joined}"
        folder = self.folder / name
        folder.mkdir()
        kubelet = f"{sys.executable} -m tests.helpers.small_kubelet {folder}/kubelet.json >{folder}/kubelet.log 2>&1 &"
        root = made_machine(folder, self.server, name, kubelet)
        self._write(folder, root, name)
        environment = {"PATH": f"{folder}/programs:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        before = [_cpu(process.pid) for process in self.server.processes]
        used = measured(
            [sys.executable, "-m", "tests.helpers.join_in_a_folder", str(folder / "join.json")], environment, folder
        )
        after = [_cpu(process.pid) for process in self.server.processes]
        with self.server.client() as api:
            api.delete("Node", name)
        server, etcd = (late - early for early, late in zip(before, after, strict=True))
        return Joined(used, server, etcd)

    def _write(self, folder: Path, root: Path, name: str) -> None:
        """What the two processes are told."""
        told = {
            "root": str(root),
            "api": self.server.port,
            "artifacts": self.artifacts,
            "token": self.token.reveal(),
            "pin": ca_pin(self.server.pki.ca.cert_pem),
            "name": name,
            "address": ADDRESS,
        }
        (folder / "join.json").write_text(json.dumps(told))
        node = crowd_node(0)
        metadata = {"name": name, "labels": {"kubernetes.io/hostname": name}}
        (folder / "node.json").write_text(json.dumps({**node, "metadata": metadata, "spec": {}}))
        key = ec.generate_private_key(ec.SECP256R1())
        names = [(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, f"system:node:{name}")]
        subject = x509.Name([x509.NameAttribute(kind, text) for kind, text in names])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        kubelet = {
            "bootstrap": f"{root}/var/lib/kubelet/bootstrap-kubelet.conf",
            "certificate": f"{root}/var/lib/kubelet/pki/kubelet-client-current.pem",
            "api": self.server.port,
            "request": request.public_bytes(pem).decode(),
            "key": private.decode(),
            "node": name,
            "node_file": f"{folder}/node.json",
        }
        (folder / "kubelet.json").write_text(json.dumps(kubelet))

    def _add(self, client: httpx.Client, number: int) -> None:
        node = crowd_node(number)
        name = node["metadata"]["name"]
        _made(client, "/api/v1/nodes", node)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
        _made(client, LEASES, lease)
        for pod in range(PODS_OF_A_NODE):
            _made(client, "/api/v1/namespaces/default/pods", _pod(f"{name}-{pod}", name))

    @contextmanager
    def _administrator(self) -> Iterator[httpx.Client]:
        pki = self.server.pki
        admin = issue(pki.ca, common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
        context = ssl.create_default_context(cadata=pki.ca.cert_pem.decode())
        with tempfile.NamedTemporaryFile() as pair:
            Path(pair.name).write_bytes(admin.cert_pem + b"\n" + admin.key_pem)
            context.load_cert_chain(pair.name)
        url = f"https://127.0.0.1:{self.server.port}"
        with httpx.Client(base_url=url, verify=context, trust_env=False, timeout=60) as client:
            yield client


@contextmanager
def real_cluster(folder: Path) -> Iterator[RealCluster]:
    """A cluster without Nodes in an empty folder, ready for joins with its token."""
    with ExitStack() as until_the_end:

        def below(name: str) -> Path:
            (folder / name).mkdir()
            return folder / name

        server = until_the_end.enter_context(running_api_server(below("api")))
        until_the_end.enter_context(running_controllers(server, below("controllers")))
        until_the_end.enter_context(running_approvers(server, below("approvers")))
        port = until_the_end.enter_context(served_artifacts(server, below("artifacts")))
        token = new_token()
        with server.client() as api:
            expires = datetime.now(UTC) + timedelta(hours=12)
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            secret = token_secret(token, expires=expires, description="a benchmark")
            for manifest in (*base_objects(), *token_objects([]), account, secret):
                api.apply(manifest)

            def signed() -> bool:
                info = api.get("ConfigMap", "cluster-info", "kube-public") or {}
                return f"jws-kubeconfig-{token.id}" in info.get("data", {})

            wait_for(signed, "the signature with the token")
        yield RealCluster(server, port, folder, token)


def _pod(name: str, node: str) -> dict[str, Any]:
    containers = [{"name": "main", "image": "clusterup.local/busybox:1", "command": ["sleep", "1d"]}]
    spec = {"nodeName": node, "automountServiceAccountToken": False, "containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "crowd"}}, "spec": spec}


def _made(client: httpx.Client, path: str, manifest: dict[str, Any]) -> None:
    answer = client.post(path, json=manifest)
    if not answer.is_success:
        raise RuntimeError(f"POST {path}: {answer.status_code}: {answer.text[:300]}")


def _cpu(process: int) -> float:
    """CPU seconds that a process has used. Source: proc(5), /proc/PID/stat."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS
