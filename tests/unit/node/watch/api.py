"""An API server that says what it was given to say, one answer after the other, and then nothing more."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.node.watch.follow import ApiServer
from bootstrap.pki.x509 import Usage, issue, new_authority


@dataclass(frozen=True)
class Said:
    """An answer: its status, and its lines, each JSON or as it is. One that is `cut` announces more than it has."""

    lines: Sequence[Any]
    status: int = 200
    cut: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in self.lines)


@dataclass
class Api:
    """How it is reached, and the paths with which it was asked."""

    server: ApiServer
    asked: list[str] = field(default_factory=list)


@contextmanager
def api_that_says(folder: Path, *answers: Said) -> Iterator[Api]:
    """One on a free port; its certificate and its client's are in `folder`."""
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            api.asked.append(self.path)
            said = left.pop(0) if left else Said([], 503)
            self.send_response(said.status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if said.body:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(said.body), said.body))
            if said.cut:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    authority = new_authority("tests")
    serving = issue(authority, common_name="api", usage=Usage.SERVER, hosts=["127.0.0.1"])
    client = issue(authority, common_name="node", usage=Usage.CLIENT)
    for name, content in (
        ("ca", authority.cert_pem),
        ("serving", serving.cert_pem + serving.key_pem),
        ("client", client.cert_pem + client.key_pem),
    ):
        (folder / f"{name}.pem").write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "serving.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_address[1]}"
        api = Api(ApiServer(url, str(folder / "ca.pem"), str(folder / "client.pem")))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
