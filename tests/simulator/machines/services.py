"""What answers behind the ports of simulated servers: an etcd that tells its members, and an API server that tells what
is there. Nothing can be changed in either."""

from __future__ import annotations

import http.server
import json
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootstrap.clients.etcd_messages import message_classes
from bootstrap.clients.kubernetes_kinds import path_of
from bootstrap.inventory.model import Node
from bootstrap.phases.node_metadata import node_patch
from bootstrap.pki.x509 import KeyPair, Usage, issue

Objects = Mapping[str, Mapping[str, Any]]
Place = tuple[str, int]


@contextmanager
def etcd(members: Sequence[str], authority: KeyPair) -> Iterator[Place]:
    """An etcd whose members are all voters; yields where it answers, on loopback, over mutual TLS."""
    import grpc

    classes = message_classes()
    found = [classes["Member"](ID=number, name=name) for number, name in enumerate(members, 1)]
    method = grpc.unary_unary_rpc_method_handler(
        lambda *_: classes["MemberListResponse"](members=found),
        request_deserializer=classes["MemberListRequest"].FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
    pair = issue(authority, common_name="etcd", usage=Usage.SERVER, hosts=["127.0.0.1"])
    credentials = grpc.ssl_server_credentials([(pair.key_pem, pair.cert_pem)], authority.cert_pem, True)
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("etcdserverpb.Cluster", {"MemberList": method})]
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield "127.0.0.1", port
    finally:
        server.stop(None).wait()


@contextmanager
def api_server(objects: Sequence[Mapping[str, Any]], authority: KeyPair) -> Iterator[Place]:
    """An API server that is ready and holds `objects`; yields where it answers, on loopback, over mutual TLS."""
    answers = {"/readyz": b"ok", "/version": b'{"gitVersion": "v1.20.2"}', **_answers(objects)}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer goes out at once and whole, as a real server's does.
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            body = answers.get(self.path.partition("?")[0])
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"{}")))
            self.end_headers()
            self.wfile.write(body or b"{}")

        def log_message(self, *_: object) -> None:
            return

    server = _MutualTls(("127.0.0.1", 0), Handler)
    server.context = _context(authority)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield "127.0.0.1", server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ready_node(node: Node, version: str) -> dict[str, Any]:
    """The Node of a healthy kubelet, as large as a real one without what is running on it."""
    known = {"metadata": {"name": node.name, "resourceVersion": "1"}}
    patch = node_patch(node, known)
    metadata = {
        **patch["metadata"],
        "name": node.name,
        "uid": "5f5d7d6e-63b5-4d31-9f4e-2b6f6a4c1d11",
        "creationTimestamp": "2025-01-01T00:00:00Z",
        "labels": {
            "beta.kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": node.name,
            "kubernetes.io/os": "linux",
            **patch["metadata"]["labels"],
        },
        "managedFields": [_managed(manager) for manager in ("clusterup", "kube-controller-manager", "kubelet")],
    }
    conditions = [_condition(kind, "False") for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")]
    resources = {"cpu": "2", "ephemeral-storage": "5Gi", "hugepages-2Mi": "0", "memory": "2014236Ki", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"], **patch.get("spec", {})},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": str(node.address)},
                {"type": "Hostname", "address": node.name},
            ],
            "capacity": resources,
            "allocatable": resources,
            "conditions": [*conditions, _condition("Ready", "True")],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": [{"names": ["clusterup.local/pause:1"], "sizeBytes": 320000}],
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "7f1d3c52-2a7e-43f7-9d52-5b8a3d0e4c11",
                "containerRuntimeVersion": "containerd://1.7.24",
                "kernelVersion": "6.12.0-amd64",
                "kubeProxyVersion": version,
                "kubeletVersion": version,
                "machineID": "0123456789abcdef0123456789abcdef",
                "operatingSystem": "linux",
                "osImage": "clusterup 1",
                "systemUUID": "01234567-89ab-cdef-0123-456789abcdef",
            },
        },
    }


def _answers(objects: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    lists: dict[str, list[Mapping[str, Any]]] = {}
    answers = {}
    for found in objects:
        metadata = found["metadata"]
        answers[path_of(found["kind"], metadata["name"], metadata.get("namespace"))] = json.dumps(found).encode()
        lists.setdefault(path_of(found["kind"]), []).append(found)
    return {**answers, **{path: json.dumps({"items": items}).encode() for path, items in lists.items()}}


def _managed(manager: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        f"f:{name}": {".": {}, "f:lastTransitionTime": {}, "f:reason": {}, "f:status": {}}
        for name in ("conditions", "addresses", "capacity", "allocatable", "nodeInfo")
    }
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}


def _condition(kind: str, status: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": "2025-01-01T00:00:00Z",
        "lastTransitionTime": "2025-01-01T00:00:00Z",
        "reason": f"KubeletHas{kind}",
        "message": f"kubelet says that {kind} is {status}",
    }


def _context(authority: KeyPair) -> ssl.SSLContext:
    pair = issue(authority, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["kubernetes", "127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.cert_pem.decode())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(pair.cert_pem + pair.key_pem)
        context.load_cert_chain(path)
    return context


class _MutualTls(http.server.ThreadingHTTPServer):
    """Each connection is greeted in its own thread: one that says nothing keeps no other."""

    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        super().finish_request(self.context.wrap_socket(request, server_side=True), client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        return
