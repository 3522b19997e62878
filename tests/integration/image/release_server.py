"""A web server that serves releases the way their projects' servers do, host names as folders, and has the failures of
real ones on request."""

from __future__ import annotations

import re
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from bootstrap.pki.x509 import KeyPair, Usage, issue


@dataclass
class ReleaseServer:
    """Serves `files` (paths and contents) over TLS on a free port of this machine, with a certificate of the
    `authority`, and notes every request with its Range. Its key lies in `folder`.

    `cuts` is how many of the next answers with a tarball end in the middle, `stalls` how many fall silent there, and
    `refusals` how many are a 503. Without `ranges` every answer is the whole file, without `lengths` none says how
    long it is. `moved` are redirections.
    """

    authority: KeyPair
    folder: Path
    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    cuts: int = 0
    stalls: int = 0
    refusals: int = 0
    ranges: bool = True
    lengths: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.released = threading.Event()
        release = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                release.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        pair = issue(self.authority, common_name="releases", usage=Usage.SERVER, hosts=["127.0.0.1"])
        (self.folder / "releases.pem").write_bytes(pair.cert_pem + pair.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "releases.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ReleaseServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a GET."""
        asked = request.headers.get("Range")
        self.requests.append((request.path, asked))
        if request.path in self.moved:
            request.send_response(302)
            request.send_header("Location", self.moved[request.path])
            request.end_headers()
            return
        content = self.files.get(request.path)
        if content is None:
            request.send_error(404)
            return
        if self.refusals:
            self.refusals -= 1
            request.send_error(503)
            return
        start = 0
        if asked and self.ranges:
            found = re.fullmatch(r"bytes=(\d+)-", asked)
            assert found is not None, asked
            start = int(found[1])
        if start and start >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.lengths:
            request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        self._send(request, content[start:])

    def _send(self, request: BaseHTTPRequestHandler, content: bytes) -> None:
        whole = re.search(r"\.(tar\.gz|tgz|amd64)$", request.path) is None
        if whole or not (self.cuts or self.stalls):
            request.wfile.write(content)
            return
        request.wfile.write(content[: len(content) // 2])
        if self.cuts:
            self.cuts -= 1
            return
        self.stalls -= 1
        self.released.wait()
