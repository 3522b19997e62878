"""The Kubernetes API over TLS with client certificates: as much of it as clusterup uses, in front of `Objects`."""

from __future__ import annotations

import http.server
import json
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from bootstrap.clients.kubernetes_kinds import KINDS, path_of
from bootstrap.constants.objects import JOIN_MANIFEST, JOIN_MANIFEST_NAMESPACE
from bootstrap.constants.tokens import TOKENS_NAMESPACE
from bootstrap.protocol.discovery import CLUSTER_INFO
from bootstrap.releases import DEBIAN_KUBERNETES
from bootstrap.spec import join_manifest_build as published
from bootstrap.spec.kubeadm_objects import GET_NODES
from bootstrap.tokens.server import server_secret_name
from tests.simulator.machines.kubelet import DESCRIPTION, serving, signed_cluster_info, token_of
from tests.simulator.objects import Conflict, Name, Object, Objects

if TYPE_CHECKING:
    from tests.simulator.site import Site

_OBJECT = re.compile(r"/((?:api|apis/[^/]+)/v\d\w*)(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?")
_KIND_OF = {(api, plural): kind for kind, (api, plural, _) in KINDS.items()}
ADMINISTRATORS = "system:masters"
Answered = tuple[int, dict[str, Any] | str]


def serve_api(
    site: Site, name: str, certificate: bytes, key: bytes, authority: bytes
) -> tuple[int, Callable[[], None]]:
    """Serve the API server on the machine of that name: the port on 127.0.0.1, and what ends it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=authority.decode())
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.write_bytes(certificate + key)
        context.load_cert_chain(pair)
    server = _Server(site, name)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server.server_address[1], server.end


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.site = site
        self.name = name
        self.taken: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self.taken.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break: that is what this is for."""

    def end(self) -> None:
        """Stop listening and break every connection. The loop ends by itself in a moment."""
        threading.Thread(target=self.shutdown, daemon=True).start()
        self.socket.close()
        for sock in self.taken:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body in one piece: the client's delayed acknowledgement costs 40 ms otherwise.
    wbufsize = -1
    server: _Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.site.lock:
            self.server.site.settle()
            status, said = self._what(body)
            text = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.server.site.asked += 1
            self.server.site.told += len(text)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(said, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PATCH = do_DELETE = do_POST = do_PUT = _answer

    def _what(self, body: bytes) -> Answered:
        objects = serving(self.server.site.machines[self.server.name])
        if urlsplit(self.path).path == "/readyz":
            return (200, "ok") if objects is not None else (500, "[-]etcd failed")
        if objects is None:
            return _failure(500, "etcdserver: request timed out")
        if ADMINISTRATORS not in self._groups():
            return self._told_to_strangers(objects)
        if urlsplit(self.path).path == "/version":
            return 200, {"gitVersion": f"v{DEBIAN_KUBERNETES}"}
        found = _OBJECT.fullmatch(urlsplit(self.path).path)
        kind = _KIND_OF.get((found[1], found[3])) if found else None
        if found is not None and kind is not None:
            namespace = (found[2] or "") if KINDS[kind][2] else ""
            answer = self._one(objects, (kind, namespace, found[4]), body) if found[4] else None
            answer = answer or (
                (200, self._list(objects, kind, namespace)) if not found[4] and self.command == "GET" else None
            )
            if answer is not None:
                return answer
        self.server.site.complain(f"the API was asked what the simulator does not know: {self.command} {self.path}")
        return _failure(501, "unknown")

    def _told_to_strangers(self, objects: Objects) -> Answered:
        """What those get who are not administrators: the cluster's description, and with a token what its groups may
        read."""
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
        secret = token_of(objects, shown, self.server.site) if shown else None
        path = urlsplit(self.path).path
        if shown and secret is None:
            return _failure(401, "Unauthorized")
        told: dict[str, Any] | None = None
        if path == CLUSTER_INFO:
            told = signed_cluster_info(objects, self.server.site)
        elif secret is not None and path == path_of("CertificateSigningRequest"):
            told = self._list(objects, "CertificateSigningRequest", "")
        elif (
            secret is not None
            and (name := _readable(path, shown.partition(".")[0])) is not None
            and objects.get(name[1]) is not None
        ):
            told = objects.get(name[0])
            return _failure(404, "not found") if told is None else (200, told)
        return _failure(403, "Forbidden") if told is None else (200, told)

    def _list(self, objects: Objects, kind: str, namespace: str) -> dict[str, Any]:
        query = parse_qs(urlsplit(self.path).query)
        fields, labels = (_terms(query.get(name, [""])[0]) for name in ("fieldSelector", "labelSelector"))
        items = [
            each
            for each in objects.all(kind, namespace)
            if all(_field(each, key) == value for key, value in fields.items())
            and labels.items() <= (each["metadata"].get("labels") or {}).items()
        ]
        return {
            "kind": f"{kind}List",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": objects.version},
            "items": items,
        }

    def _one(self, objects: Objects, name: Name, body: bytes) -> Answered | None:
        if self.command in ("GET", "DELETE"):
            if self.command == "DELETE":
                there = objects.delete(name)
            elif name == DESCRIPTION:
                there = signed_cluster_info(objects, self.server.site)
            else:
                there = objects.get(name)
            return _failure(404, "not found") if there is None else (200, there)
        return self._changed(objects, name, body) if self.command == "PATCH" else None

    def _changed(self, objects: Objects, name: Name, body: bytes) -> Answered:
        change = json.loads(body)
        if "apply-patch" in self.headers["Content-Type"]:
            return 200, objects.apply(name, change)
        try:
            return 200, objects.merge(name, change)
        except Conflict:
            return _failure(409, "the object has been modified")
        except KeyError:
            return _failure(404, "not found")

    def _groups(self) -> list[str]:
        shown: Any = self.connection.getpeercert()
        subject = (shown or {}).get("subject", ())
        return [value for part in subject for key, value in part if key == "organizationName"]

    def log_message(self, *_: object) -> None:
        """No one reads it."""


def _readable(path: str, token_id: str) -> tuple[Name, Name] | None:
    """What somebody with a token asks for and may have, and the object that lets them; None for all else."""
    if path == path_of("ConfigMap", JOIN_MANIFEST, JOIN_MANIFEST_NAMESPACE):
        role = ("RoleBinding", JOIN_MANIFEST_NAMESPACE, published.ROLE)
        return ("ConfigMap", JOIN_MANIFEST_NAMESPACE, JOIN_MANIFEST), role
    opened = path.removeprefix(path_of("Secret", namespace=TOKENS_NAMESPACE) + "/")
    if opened == server_secret_name(token_id):
        return ("Secret", TOKENS_NAMESPACE, opened), ("RoleBinding", TOKENS_NAMESPACE, opened)
    node = path.removeprefix(path_of("Node") + "/")
    return None if node == path else (("Node", "", node), ("ClusterRoleBinding", "", GET_NODES))


def _terms(selector: str) -> dict[str, str]:
    return dict(term.split("=", 1) for term in selector.split(",") if term)


def _field(found: Object, path: str) -> Any:
    """What is in a field, as in spec.signerName."""
    part: Any = found
    for name in path.split("."):
        part = (part or {}).get(name)
    return part


def _failure(status: int, message: str) -> Answered:
    return status, {"kind": "Status", "status": "Failure", "message": message, "code": status}
