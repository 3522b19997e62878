"""TLS servers that stand for API servers in tests."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

from bootstrap.pki.x509 import KeyPair, Usage, issue


@contextmanager
def api_server(
    name: str, port: int, authority: KeyPair, folder: Path, *, ready: int = 200, address: str = "127.0.0.1"
) -> Iterator[None]:
    """An API server as far as a balancer is concerned: /readyz answers `ready`, every other path with its name. Its
    certificate is for its name and for `address`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = name.encode()
            self.send_response(ready if self.path == "/readyz" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    pair = issue(authority, common_name=name, usage=Usage.SERVER, hosts=[name, address])
    (folder / f"{name}.crt").write_bytes(pair.cert_pem)
    (folder / f"{name}.key").write_bytes(pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    server = http.server.ThreadingHTTPServer((address, port), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def answering(
    pair: KeyPair, answer: Callable[[str], tuple[int, bytes]], folder: Path, *, ahead: float = 0.0
) -> Iterator[int]:
    """A server on 127.0.0.1 that shows `pair` and answers each path with a status and a body; its port. Its clock is
    `ahead` seconds ahead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate((timestamp or time.time()) + ahead, usegmt=True)

        def log_message(self, *_: object) -> None:
            return

    file = folder / "pair.pem"
    file.write_bytes(pair.cert_pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
