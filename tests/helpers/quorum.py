"""etcd members on loopback, with mutual TLS from our own PKI."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrap.clients.etcd import EtcdClient
from bootstrap.pki.x509 import KeyPair, Usage, issue
from tests.helpers.daemons import daemon, free_ports


@dataclass
class Place:
    """Where a member keeps its data and listens."""

    name: str
    folder: Path
    client_port: int
    peer_port: int

    @property
    def peer_url(self) -> str:
        return f"https://127.0.0.1:{self.peer_port}"


@dataclass
class Quorum:
    """A cluster's authority, an operator's certificate, and where members live."""

    folder: Path
    authority: KeyPair
    operator: KeyPair

    def place(self, name: str) -> Place:
        client_port, peer_port = free_ports(2)
        folder = self.folder / name
        folder.mkdir()
        peer = issue(self.authority, common_name=name, usage=Usage.PEER, hosts=["127.0.0.1", "localhost"])
        (folder / "ca.crt").write_bytes(self.authority.cert_pem)
        (folder / "peer.crt").write_bytes(peer.cert_pem)
        (folder / "peer.key").write_bytes(peer.key_pem)
        return Place(name, folder, client_port, peer_port)

    @contextmanager
    def member(
        self, place: Place, others: dict[str, str], state: str, *, program: Path = Path("etcd")
    ) -> Iterator[subprocess.Popen[bytes]]:
        """etcd, running; `others` maps the names of members to their peer URLs. `program` is another than Debian's."""
        client_url = f"https://127.0.0.1:{place.client_port}"
        cluster = ",".join(f"{name}={url}" for name, url in {**others, place.name: place.peer_url}.items())
        argv = [str(program), "--name", place.name, "--data-dir", str(place.folder / "data")]
        argv += ["--listen-client-urls", client_url, "--advertise-client-urls", client_url]
        argv += ["--listen-peer-urls", place.peer_url, "--initial-advertise-peer-urls", place.peer_url]
        argv += ["--initial-cluster", cluster, "--initial-cluster-state", state, "--logger", "zap"]
        for prefix in ("", "peer-"):
            argv += [f"--{prefix}trusted-ca-file", str(place.folder / "ca.crt"), f"--{prefix}client-cert-auth"]
            argv += [f"--{prefix}cert-file", str(place.folder / "peer.crt")]
            argv += [f"--{prefix}key-file", str(place.folder / "peer.key")]
        with daemon(argv, place.folder / "log") as process:
            yield process

    def client(self, place: Place, timeout: float = 5.0) -> EtcdClient:
        return EtcdClient(
            "127.0.0.1", place.client_port, ca_pem=self.authority.cert_pem, client=self.operator, timeout=timeout
        )
