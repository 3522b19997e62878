"""The server of artifacts as a process, and a small API server that it asks: what both are asked is seen."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.pki.token import cluster_info
from bootstrap.pki.x509 import KeyPair, Usage, issue, new_authority
from bootstrap.protocol.discovery import CLUSTER_INFO
from bootstrap.protocol.token import Token, detached_signature
from bootstrap.spec.artifacts import QUESTION
from tests.helpers.daemons import daemon, free_ports, wait_for
from tests.helpers.node_agent import agent
from tests.helpers.tls_server import answering

TOKEN = Token("abcdef", "0123456789abcdef")
NOBODY = 65534


@dataclass
class Cluster:
    """What the API server says: `signed_with` are the tokens that are good, `question` is its status to who shows one,
    `asked` are the paths that it was asked for."""

    folder: Path
    authority: KeyPair = field(default_factory=lambda: new_authority("kubernetes"))
    signed_with: tuple[Token, ...] = (TOKEN,)
    question: int = 200
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, bytes]:
        path = path.partition("?")[0]
        self.asked.append(path)
        if path == QUESTION:
            return self.question, b"{}"
        assert path == CLUSTER_INFO
        told = cluster_info("https://192.0.2.1:6443", self.authority.cert_pem)
        signed = told["data"]["kubeconfig"]
        told["data"] |= {f"jws-kubeconfig-{token.id}": detached_signature(signed, token) for token in self.signed_with}
        return 200, json.dumps(told).encode()

    @contextmanager
    def serves(self) -> Iterator[int]:
        """Its port."""
        pair = issue(self.authority, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["127.0.0.1"])
        with answering(pair, self.answer, self.folder) as port:
            yield port


@dataclass
class ArtifactServer:
    """A running server of artifacts."""

    port: int
    authority: KeyPair
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.cert_pem.decode())

    def get(self, path: str, token: str = TOKEN.reveal(), method: str = "GET", **more: Any) -> tuple[int, bytes]:
        """Status and body of what it answers; `more` is for http.client."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.context, **more)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self, name: str) -> int:
        """A number of /proc/PID/status: Threads; VmHWM, kB. Source: proc(5)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    @property
    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(
    folder: Path, cluster: Cluster, api_port: int, artifacts: Mapping[str, Path], user: int | None = None, **more: Any
) -> Iterator[ArtifactServer]:
    """The server as a process, which knows the cluster's tokens; `more` are settings, `user` is who runs it."""
    pair = issue(cluster.authority, common_name="s1", usage=Usage.SERVER, hosts=["127.0.0.1"])
    (port,) = free_ports(1)
    credentials = folder / "credentials"
    credentials.mkdir(mode=0o500)
    for name, content in (
        ("tls.crt", pair.cert_pem),
        ("tls.key", pair.key_pem),
        ("ca.crt", cluster.authority.cert_pem),
    ):
        (credentials / name).write_bytes(content)
        (credentials / name).chmod(0o400)
    if user is not None:
        for place in (credentials, *credentials.iterdir()):
            os.chown(place, user, user)
    settings = {
        "address": "127.0.0.1",
        "port": port,
        "certificate": f"{credentials}/tls.crt",
        "key": f"{credentials}/tls.key",
        "ca": f"{credentials}/ca.crt",
        "question": f"https://127.0.0.1:{api_port}{QUESTION}",
        "artifacts": {digest: str(path) for digest, path in artifacts.items()},
        **more,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    argv = agent("serve", str(folder / "settings.json"))
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    log = folder / "log"
    with daemon([*as_user, *argv] if user is not None else argv, log) as process:
        wait_for(lambda: "tokens are known" in log.read_text(), "a look at the cluster's tokens", 30)
        yield ArtifactServer(port, cluster.authority, process, log)
