"""What a server hands to nodes that join by themselves: the payload and the container images, by their SHA-256.

Whoever asks shows a bootstrap token, and gets what joining nodes may read: see admission.py. How many may ask, and how
long that may take, is bounded: see connections.py.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from bootstrap.node.artifacts.admission import Admission, Cluster, Times
from bootstrap.node.artifacts.connections import Connections, Limits, Peer, Stream
from bootstrap.protocol.discovery import CLUSTER_INFO, LONGEST
from bootstrap.protocol.exchange import Answer, answer_to, connection_to, within
from bootstrap.protocol.token import Token

PATH = re.compile(r"/artifacts/([0-9a-f]{64})")
# RFC 7233, section 2.1: the one form that is asked for, from a byte to the end.
FROM = re.compile(r"bytes=(\d{1,18})-", re.ASCII)
# RFC 7230, section 3.1.1.
REQUEST = re.compile(r"([A-Z]{1,20}) (\S{1,2000}) HTTP/1\.[01]", re.ASCII)
API_SECONDS = 10.0
# Threads: more would only share the same disk and the same API server.
READERS, QUESTIONS = 4, 2
# What is said of those who were let go, it is said so often.
SAY_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """Where to listen, with which certificate, whom to ask about tokens (`question` is what joining nodes read), and
    what there is: paths by SHA-256."""

    address: str
    port: int
    certificate: str
    key: str
    question: str
    ca: str
    artifacts: Mapping[str, str]
    limits: Limits = field(default_factory=Limits)
    times: Times = field(default_factory=Times)


@dataclass(frozen=True)
class Request:
    """What somebody asks for."""

    method: str
    path: str
    headers: Mapping[str, str]


class Refused(Exception):
    """A request that is not done, with an HTTP status and a reason in words."""

    def __init__(self, status: HTTPStatus, reason: str, headers: Mapping[str, object] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})


def settings_of(path: Path) -> Settings:
    """The settings in a JSON file. Raises OSError, ValueError or TypeError where it is not one of them."""
    found = json.loads(path.read_text())
    limits, times = Limits(**found.pop("limits", {})), Times(**found.pop("times", {}))
    return Settings(**found, limits=limits, times=times)


def main(path: str) -> int:
    """Serve what the settings in the file at `path` say until SIGTERM."""
    asyncio.run(_serve(settings_of(Path(path))))
    return 0


async def _serve(settings: Settings) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.key)
    context.options |= ssl.OP_NO_RENEGOTIATION
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    with (
        socket.socket(family) as listener,
        ThreadPoolExecutor(QUESTIONS, "question") as questions,
        ThreadPoolExecutor(READERS, "reader") as readers,
    ):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.address, settings.port))
        admission = Admission(cluster_of(settings), settings.times, questions)
        threading.Thread(target=_keep_fresh, args=(admission,), name="refresh", daemon=True).start()
        artifacts, dropped = Artifacts(settings, admission, readers), Seldom("connections without a whole request")
        connections = Connections(context, settings.limits, artifacts.answer, dropped.note)
        artifacts.transfers = connections.transfers
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, told: _note(told, dropped))
        accepting = asyncio.ensure_future(connections.serve(listener))
        loop.add_signal_handler(signal.SIGTERM, accepting.cancel)
        await asyncio.wait([accepting])


def cluster_of(settings: Settings) -> Cluster:
    """The cluster, asked at the API server that the settings name."""
    url = urlsplit(settings.question)
    host, context = url.hostname or "", ssl.create_default_context(cafile=settings.ca)

    # Kept from look to look: a small machine notices a handshake every few seconds.
    kept = connection_to(host, url.port, context)

    def describe() -> bytes:
        try:
            answer = _description(kept)
        except (OSError, http.client.HTTPException):
            # It may have been closed from the other end since the last look.
            answer = _description(kept)
        if answer.status != HTTPStatus.OK:
            raise ValueError(f"the API server says {answer.status} to who asks for the cluster's description")
        return answer.body

    def judge(token: Token) -> int:
        connection = connection_to(host, url.port, context)
        try:
            with within(API_SECONDS):
                headers = {"Authorization": f"Bearer {token.reveal()}"}
                connection.request("GET", f"{url.path}?resourceVersion=0", headers=headers)
                return connection.getresponse().status
        finally:
            connection.close()

    return Cluster(describe, judge)


def _description(connection: http.client.HTTPSConnection) -> Answer:
    """Out of the API server's memory: the quorum is not asked every few seconds."""
    try:
        path = f"{CLUSTER_INFO}?resourceVersion=0"
        return answer_to(connection, "GET", path, seconds=API_SECONDS, largest=LONGEST)
    except (OSError, http.client.HTTPException):
        connection.close()
        raise


def _keep_fresh(admission: Admission) -> None:
    """Look at the cluster's description every few seconds."""
    said: str | None = None
    while True:
        try:
            admission.refresh()
            problem = ""
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = f"the cluster's tokens are not known: {type(error).__name__}: {error}"
        # The same trouble in every round would fill the journal and say nothing new.
        if problem != said:
            _say(problem or "the cluster's tokens are known")
            said = problem
        time.sleep(admission.times.refresh)


def _note(told: Mapping[str, Any], dropped: Seldom) -> None:
    """What a peer does to its connection is counted: there would be a traceback for each. All else is said."""
    error = told.get("exception")
    if error is None or isinstance(error, OSError | EOFError):
        dropped.note()
    else:
        _say(f"{told.get('message')}: {type(error).__name__}: {error}")


@dataclass
class Artifacts:
    """Answers requests. `transfers` says how many are served, in all and of an address."""

    settings: Settings
    admission: Admission
    readers: ThreadPoolExecutor
    transfers: Callable[[str | None], int] = lambda _: 0
    strangers: Seldom = field(default_factory=lambda: Seldom("requests without a good token"))

    async def answer(self, peer: Peer, stream: Stream, head: bytes) -> None:
        """Answer one request. Raises OSError where the peer goes away or takes too long."""
        request = None
        try:
            request = request_of(head)
            await self._judge(request, peer)
        except Refused as refused:
            self.strangers.note()
            await self._refuse(refused, request, stream, peer)
            return
        try:
            self._make_place(peer)
            status = await self._send(request, stream)
        except Refused as refused:
            status = refused.status
            await self._refuse(refused, request, stream, peer)
        _say(f"{peer.address}: {request.method} {request.path[:100]!a} {status:d}")

    async def _refuse(self, refused: Refused, request: Request | None, stream: Stream, peer: Peer) -> None:
        peer.trusted = peer.served = False
        body = f"{refused.reason}\n".encode()
        headers = {**refused.headers, "Content-Type": "text/plain; charset=utf-8", "Content-Length": len(body)}
        shown = b"" if request is not None and request.method == "HEAD" else body
        await stream.send(_head(refused.status, headers) + shown, self.settings.limits.block)

    async def _judge(self, request: Request, peer: Peer) -> None:
        verdict = self.admission.judged(request.headers.get("authorization", ""))
        if isinstance(verdict, Future):
            peer.trusted = True
            async with asyncio.timeout(self.settings.limits.request):
                verdict = await asyncio.shield(asyncio.wrap_future(verdict))
        if verdict.status != HTTPStatus.OK:
            raise Refused(verdict.status, verdict.reason)

    def _make_place(self, peer: Peer) -> None:
        limits = self.settings.limits
        if self.transfers(None) >= limits.transfers or self.transfers(peer.address) >= limits.transfers_to_one_address:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many are served already", {"Retry-After": 10})
        peer.served = True

    async def _send(self, request: Request, stream: Stream) -> HTTPStatus:
        found = PATH.fullmatch(request.path)
        place = self.settings.artifacts.get(found[1]) if found else None
        if place is None:
            raise Refused(HTTPStatus.NOT_FOUND, "this server has no such artifact")
        path = Path(place)
        try:
            handle = path.open("rb")
        except OSError as error:
            raise Refused(HTTPStatus.NOT_FOUND, f"this server has lost it: {error.strerror}") from None
        with handle:
            size = path.stat().st_size
            asked_from = FROM.fullmatch(request.headers.get("range", ""))
            first = int(asked_from[1]) if asked_from else 0
            if first >= size > 0:
                raise Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"it has {size} bytes")
            status = HTTPStatus.PARTIAL_CONTENT if asked_from else HTTPStatus.OK
            headers: dict[str, object] = {"Content-Type": "application/octet-stream", "Content-Length": size - first}
            if asked_from:
                headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
            await stream.send(_head(status, headers), self.settings.limits.block)
            if request.method == "GET":
                handle.seek(first)
                await self._copy(handle, size - first, stream)
        return status

    async def _copy(self, handle: BinaryIO, left: int, stream: Stream) -> None:
        loop, limits = asyncio.get_running_loop(), self.settings.limits
        while left and (block := await loop.run_in_executor(self.readers, handle.read, min(limits.block_bytes, left))):
            await stream.send(block, limits.block)
            left -= len(block)


@dataclass
class Seldom:
    """Says how many there were of something: a line a minute, however many there are."""

    what: str
    clock: Callable[[], float] = time.monotonic
    _count: int = 0
    _said: float | None = None

    def note(self) -> None:
        """One more."""
        self._count += 1
        now = self.clock()
        if self._said is None or now - self._said >= SAY_SECONDS:
            _say(f"{self.what}: {self._count}")
            self._count, self._said = 0, now


def request_of(head: bytes) -> Request:
    """The request in a head. Raises Refused for what is none, or is another one than those that are answered."""
    if not head:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of this request is too long")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    found = REQUEST.fullmatch(first)
    if found is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "this is not a request")
    if found[1] not in ("GET", "HEAD"):
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "there is nothing here but to read", {"Allow": "GET, HEAD"})
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(found[1], found[2], headers)


def _head(status: HTTPStatus, headers: Mapping[str, object]) -> bytes:
    # One request a connection: one that waits for its next would hold a place.
    lines = [f"HTTP/1.1 {status:d} {status.phrase}", "Server: clusterup", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
