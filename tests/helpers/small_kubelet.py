"""What a kubelet does to join, as far as the API server can tell, and nothing else: it asks for its certificate with a
bootstrap token, makes its Node, says that it is Ready, and ends.

`python -m tests.helpers.small_kubelet FILE`, a JSON object with bootstrap (the kubeconfig with the token), certificate
(where it goes), key and request (PEM), node and node_file (the Node object). Imports the standard library only, as it
counts in what is measured.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
PATCH = "application/strategic-merge-patch+json"
EVERY_SECONDS = 0.05


class Asked:
    """An API server and who asks it."""

    def __init__(self, port: int, ca: str, token: str = "", certificate: str = "") -> None:
        context = ssl.create_default_context(cadata=ca)
        if certificate:
            context.load_cert_chain(certificate)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)

    def __call__(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """What it says. Raises RuntimeError where that is not a success."""
        content = json.dumps(body).encode() if body else None
        self._connection.request(method, path, content, {**self._headers, "Content-Type": kind})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {answer.status}: {said[:300]!r}")
        return json.loads(said)


def main(path: Path) -> None:
    """Join as the file says."""
    told = json.loads(path.read_text())
    conf = json.loads(Path(told["bootstrap"]).read_text())
    ca = base64.b64decode(conf["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    token = conf["users"][0]["user"]["token"]
    port = told["api"]
    asks = Asked(port, ca, token=token)
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": f"node-csr-{told['node']}"},
        "spec": {
            "request": base64.b64encode(told["request"].encode()).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "key encipherment", "client auth"],
        },
    }
    asks("POST", REQUESTS, request)
    while not (signed := asks("GET", f"{REQUESTS}/node-csr-{told['node']}")["status"].get("certificate")):
        time.sleep(EVERY_SECONDS)
    certificate = Path(told["certificate"])
    certificate.parent.mkdir(parents=True, exist_ok=True)
    new = certificate.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(base64.b64decode(signed).decode() + told["key"])
    new.rename(certificate)
    is_in = Asked(port, ca, certificate=str(certificate))
    node = json.loads(Path(told["node_file"]).read_text())
    is_in("POST", "/api/v1/nodes", node)
    is_in("PATCH", f"/api/v1/nodes/{told['node']}/status", {"status": node["status"]}, PATCH)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
