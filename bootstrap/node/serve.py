"""What a server hands to nodes that join by themselves: the payload and the container images, by their SHA-256.

Whoever asks shows a bootstrap token, and gets what that token may read anyway: whether it is good is for the API
server beside this one to say, which is asked with the very same token.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import ssl
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

PATH = re.compile(r"/artifacts/([0-9a-f]{64})")
# RFC 7233, section 2.1: the one form that is asked for, from a byte to the end.
FROM = re.compile(r"bytes=(\d+)-")
BLOCK = 1 << 20
PATIENCE_SECONDS = 60.0
# Each costs a thread; more than that would only share the same disk and wire.
AT_ONCE = 32


@dataclass(frozen=True)
class Settings:
    """Where to listen, with which certificate, whom to ask about tokens, and what there is: paths by SHA-256."""

    address: str
    port: int
    certificate: str
    key: str
    question: str
    ca: str
    artifacts: Mapping[str, str]


def settings_of(path: Path) -> Settings:
    """The settings in a JSON file. Raises OSError, ValueError or TypeError where it is not one of them."""
    return Settings(**json.loads(path.read_text()))


def main(path: str) -> int:
    """Serve what the settings in the file at `path` say until SIGTERM."""
    server = server_of(settings_of(Path(path)))
    # Not in the thread that serves: it would wait for itself.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()
    return 0


class Server(ThreadingHTTPServer):
    """A thread a connection; the handshake is done there, so that a peer that says nothing keeps nobody waiting."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """One line, where the standard library would show a traceback."""
        sys.stderr.write(f"{client_address}: {sys.exc_info()[1]}\n")


def server_of(settings: Settings) -> Server:
    """A server that listens, and serves when `serve_forever` is called."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.key)

    class Handler(_Handler):
        pass

    Handler.settings, Handler.places = settings, threading.BoundedSemaphore(AT_ONCE)
    server = Server((settings.address, settings.port), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


class _Handler(BaseHTTPRequestHandler):
    settings: Settings
    places: threading.BoundedSemaphore
    timeout = PATIENCE_SECONDS
    protocol_version = "HTTP/1.1"
    server_version = "clusterup"
    sys_version = ""

    def do_GET(self) -> None:
        """One artifact, or the end of it from the byte that was asked for."""
        found = PATH.fullmatch(self.path)
        place = self.settings.artifacts.get(found[1]) if found else None
        status, reason = self._judged()
        if status != HTTPStatus.OK:
            self._refuse(status, reason)
        elif place is None:
            self._refuse(HTTPStatus.NOT_FOUND, "this server has no such artifact")
        elif not self.places.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many are served already")
        else:
            try:
                self._send(Path(place))
            finally:
                self.places.release()

    def log_message(self, format: str, *arguments: object) -> None:
        """A line of the journal, without what the peer could have put into it."""
        sys.stderr.write(f"{self.client_address[0]}: {(format % arguments).encode('unicode_escape').decode()}\n")

    def _judged(self) -> tuple[HTTPStatus, str]:
        token = self.headers.get("Authorization", "")
        if not token.startswith("Bearer "):
            return HTTPStatus.UNAUTHORIZED, "show a bootstrap token: Authorization: Bearer TOKEN"
        try:
            answer = asked(self.settings, token)
        except (OSError, http.client.HTTPException) as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"the API server of this node does not answer: {error}"
        if answer == HTTPStatus.OK:
            return HTTPStatus.OK, ""
        if answer in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return HTTPStatus(answer), "the API server does not let this token in"
        return HTTPStatus.SERVICE_UNAVAILABLE, f"the API server of this node says {answer}"

    def _send(self, path: Path) -> None:
        try:
            handle = path.open("rb")
        except OSError as error:
            self._refuse(HTTPStatus.NOT_FOUND, f"this server has lost it: {error.strerror}")
            return
        with handle:
            size = path.stat().st_size
            asked_from = FROM.fullmatch(self.headers.get("Range", ""))
            first = int(asked_from[1]) if asked_from else 0
            if first >= size > 0:
                self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"it has {size} bytes")
                return
            self.send_response(HTTPStatus.PARTIAL_CONTENT if asked_from else HTTPStatus.OK)
            if asked_from:
                self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(size - first))
            self.end_headers()
            handle.seek(first)
            self._copy(handle, size - first)

    def _copy(self, handle: BinaryIO, left: int) -> None:
        while left and (block := handle.read(min(BLOCK, left))):
            self.wfile.write(block)
            left -= len(block)
        if left:
            self.close_connection = True

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        body = f"{reason}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def asked(settings: Settings, authorization: str) -> int:
    """What the API server answers (an HTTP status) when it is asked `question` with that header. Raises OSError or
    HTTPException where it does not answer."""
    url = urlsplit(settings.question)
    context = ssl.create_default_context(cafile=settings.ca)
    connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=10, context=context)
    try:
        connection.request("GET", url.path, headers={"Authorization": authorization})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
