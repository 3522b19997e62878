"""A small API server over TLS that may be late, cut connections off, or refuse, before it answers as it should."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_kinds import KINDS
from bootstrap.pki.x509 import KeyPair, Usage, issue

LATE, RESET, FINE = "late", "reset", "fine"
PLURALS = frozenset(plural for _, plural, _ in KINDS.values())
Mood = str | tuple[int, str]
"""LATE, RESET, FINE, or a status with the words that are said."""


@dataclass
class MoodyApi:
    """What it has, and what it was asked: (method, path) in turn. `mood` says for each question how it is taken; pods
    run, and end, as soon as they are there, and have fetched whatever they were told to."""

    authority: KeyPair
    port: int = 0
    mood: Callable[[str, str, int], Mood] = lambda method, path, times: FINE
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def client(self, timeout: float = 1.0, patience: float = 60.0) -> KubeClient:
        return KubeClient(
            "127.0.0.1",
            self.port,
            ca_pem=self.authority.cert_pem,
            client=issue(self.authority, common_name="admin", usage=Usage.CLIENT),
            timeout=timeout,
            patience=patience,
        )

    def times(self, method: str, path: str) -> int:
        """How often it was asked that."""
        return self.asked.count((method, path))

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """What is said by one in a good mood."""
        if method == "PATCH":
            self.objects[path] = _alive(path, json.loads(body))
        found = self.objects.pop(path, None) if method == "DELETE" else self._found(path)
        return (404, {"message": "not found"}) if found is None else (200, found)

    def _found(self, path: str) -> Any:
        if path == "/readyz":
            return "ok"
        if path.endswith("/log"):
            return _log_of(self.objects[path.removesuffix("/log")])
        if path.rpartition("/")[2] in PLURALS:
            return {"items": [found for name, found in self.objects.items() if name.startswith(f"{path}/")]}
        if path.endswith("/serviceaccounts/default"):
            return {"metadata": {"name": "default"}}
        return self.objects.get(path)


def _log_of(pod: dict[str, Any]) -> str:
    """What a pod writes that has fetched all that it was told to."""
    told = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    targets = [target.partition("=")[0] for target in str(told["TARGETS"]).split()]
    names = [f"name:{name}" for name in str(told.get("NAMES") or "").split()]
    claim = [str(told["CLASS"])] if told.get("CLAIM") else []
    return "".join(f"fetched {name} 12\n" for name in [*targets, "api", *names, *claim])


def _alive(path: str, manifest: dict[str, Any]) -> dict[str, Any]:
    if "/pods/" not in path:
        return manifest
    phase = "Succeeded" if manifest["metadata"]["name"].startswith(("fetch-", "write-")) else "Running"
    return {**manifest, "status": {"phase": phase, "podIP": "10.244.0.9"}}


@contextmanager
def moody_api(authority: KeyPair, folder: Path) -> Iterator[MoodyApi]:
    """One that runs on 127.0.0.1."""
    api = MoodyApi(authority)
    guard = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def take(self) -> None:
            path = urlsplit(self.path).path
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with guard:
                api.asked.append((self.command, path))
                mood = api.mood(self.command, path, api.times(self.command, path))
            if mood == LATE:
                api.over.wait()
                self.close_connection = True
                return
            if mood == RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            with guard:
                status, said = api.answer(self.command, path, body) if isinstance(mood, str) else _refusal(*mood)
            text = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PATCH = do_DELETE = do_POST = take

        def log_message(self, *_: object) -> None:
            return

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Connections break: that is what this is for."""

    pair = issue(authority, common_name="kubernetes", usage=Usage.SERVER, hosts=["kubernetes", "127.0.0.1"])
    file = folder / "moody.pem"
    file.write_bytes(pair.cert_pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        api.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _refusal(status: int, message: str) -> tuple[int, Any]:
    return status, {"kind": "Status", "status": "Failure", "message": message, "code": status}
