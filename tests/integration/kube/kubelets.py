"""Kubelets that ask for their certificate, as far as the API server can tell."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.objects import KUBELET_SIGNER
from bootstrap.pki.x509 import KeyPair, Usage, issue
from tests.integration.kube.servers import ApiServer

API = "certificates.k8s.io/v1"
USAGES = ("digital signature", "key encipherment", "client auth")


def request(node: str, organization: str = "system:nodes", others: Sequence[x509.GeneralName] = ()) -> bytes:
    """What a kubelet asks for: a certificate for system:node:NAME; and for `others`, which no kubelet asks for."""
    names = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, f"system:node:{node}")]
    subject = x509.Name([x509.NameAttribute(kind, text) for kind, text in names])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if others:
        made = made.add_extension(x509.SubjectAlternativeName(others), critical=False)
    key = ec.generate_private_key(ec.SECP256R1())
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def renewed(server: ApiServer, node: str) -> dict[str, Any]:
    """A request that a node made for itself, with the certificate that it has."""
    own = issue(server.pki.ca, common_name=f"system:node:{node}", usage=Usage.CLIENT, organizations=["system:nodes"])
    spec = {
        "request": base64.b64encode(request(node)).decode(),
        "signerName": KUBELET_SIGNER,
        "usages": list(USAGES),
    }
    metadata = {"generateName": f"csr-{node}-"}
    body = {"apiVersion": API, "kind": "CertificateSigningRequest", "metadata": metadata, "spec": spec}
    return _as(server, own, "POST", f"/apis/{API}/certificatesigningrequests", body)


def asked(
    server: ApiServer, token: str, node: str, *, name: str = "", usages: Sequence[str] = USAGES, content: bytes = b""
) -> dict[str, Any]:
    """A request that was made with the token, as the API server took it; its name is made up where none is given."""
    metadata = {"name": name} if name else {"generateName": f"node-csr-{node}-"}
    spec = {
        "request": base64.b64encode(content or request(node)).decode(),
        "signerName": KUBELET_SIGNER,
        "usages": list(usages),
    }
    answer = httpx.post(
        f"https://127.0.0.1:{server.port}/apis/{API}/certificatesigningrequests",
        json={"apiVersion": API, "kind": "CertificateSigningRequest", "metadata": metadata, "spec": spec},
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cadata=server.pki.ca.cert_pem.decode()),
    )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def decision(client: KubeClient, csr: dict[str, Any]) -> tuple[str, str]:
    """Approved or Denied, with what was said to it; empty while no one decided."""
    found = client.get("CertificateSigningRequest", csr["metadata"]["name"]) or {}
    for condition in found.get("status", {}).get("conditions") or []:
        return condition["type"], condition["message"]
    return "", ""


def denies(server: ApiServer, csr: dict[str, Any], reason: str) -> None:
    """Somebody who may says no to a request."""
    condition = {"type": "Denied", "status": "True", "reason": "Test", "message": reason}
    path = f"/apis/{API}/certificatesigningrequests/{csr['metadata']['name']}/approval"
    _as_admin(server, "PUT", path, {**csr, "status": {"conditions": [condition]}}, "application/json")


def certificate(client: KubeClient, csr: dict[str, Any]) -> bytes:
    """The certificate that was signed; empty while there is none."""
    found = client.get("CertificateSigningRequest", csr["metadata"]["name"]) or {}
    return base64.b64decode(found.get("status", {}).get("certificate", ""))


def comes_up(server: ApiServer, node: str, labels: Mapping[str, str] | None = None) -> None:
    """The kubelet is in, and tells that it is Ready."""
    with server.client() as client:
        client.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": dict(labels or {})}})
    says(server, node, "True")


def says(server: ApiServer, node: str, ready: str) -> None:
    """A Node's Ready becomes True, False or Unknown."""
    status = {"status": {"conditions": [{"type": "Ready", "status": ready}]}}
    _as_admin(server, "PATCH", f"/api/v1/nodes/{node}/status", status, "application/strategic-merge-patch+json")


def is_allowed(server: ApiServer, user: str, verb: str, resource: str, *, name: str = "", namespace: str = "") -> bool:
    """What the API server would let a user do; `resource` is RESOURCE.GROUP, or RESOURCE of the core."""
    plural, _, group = resource.partition(".")
    asked_for = {"verb": verb, "resource": plural, "group": group, "name": name, "namespace": namespace}
    review: dict[str, Any] = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    review["spec"] = {"user": user, "resourceAttributes": asked_for}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(_as_admin(server, "POST", path, review, "application/json")["status"]["allowed"])


def _as_admin(server: ApiServer, method: str, path: str, body: dict[str, Any], kind: str) -> dict[str, Any]:
    admin = issue(server.pki.ca, common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
    return _as(server, admin, method, path, body, kind=kind)


def _as(
    server: ApiServer, who: KeyPair, method: str, path: str, body: dict[str, Any], *, kind: str = "application/json"
) -> dict[str, Any]:
    context = ssl.create_default_context(cadata=server.pki.ca.cert_pem.decode())
    with tempfile.NamedTemporaryFile() as pair:
        Path(pair.name).write_bytes(who.cert_pem + b"\n" + who.key_pem)
        context.load_cert_chain(pair.name)
    url = f"https://127.0.0.1:{server.port}{path}"
    answer = httpx.request(method, url, json=body, headers={"Content-Type": kind}, verify=context)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found
