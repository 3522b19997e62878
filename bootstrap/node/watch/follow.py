"""Follows what the cluster has of one kind: a list of it, then every change from there on, over the local balancer.

A watch that dies in silence would leave a node with what was true an hour ago. So each is a short one, which the API
server ends by itself, and one that it does not end is given up; HAProxy ends those of a server that it finds dead; and
once an hour everything is listed again.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import http.client
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

from bootstrap.node.watch.mirror import Mirror
from bootstrap.outside import parsed_json
from bootstrap.protocol.exchange import answer_to, connection_to, within

T = TypeVar("T")
Object = Mapping[str, Any]
# Objects in one answer: a list of ten thousand at once is a hundred megabytes on the way to becoming a few.
CHUNK = 250
# How long a watch is; the second is added, by half at least, so that not all nodes come back at the same moment.
WATCH_SECONDS = 90
SPREAD_SECONDS = 60
# Longer than any watch. Newer API servers say something each minute (a bookmark); 1.20 says nothing of what does not
# change.
SILENCE_SECONDS = 180.0
CONNECT_SECONDS = 60.0
LIST_AGAIN_SECONDS = 3600.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
# An object in etcd has 1.5 MB at most; as JSON it is longer.
LONGEST_EVENT = 8 << 20
# Objects of which is said that they can't be understood.
MOST_SAID = 100
BETWEEN_SECONDS = 0.5
GONE = 410
NOT_FOUND = 404
# What passes: too many questions, and what is the server's own fault.
BUSY, FIRST_OF_SERVERS = 429, 500
EXPIRED = "expired"


class Expired(Exception):
    """The API server does not know any more what happened since then: all has to be listed again."""


class Unanswered(Exception):
    """The API server did not do it. `status` is HTTP's."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"the API server says {status}: {said}")
        self.status = status


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API servers are reached (a URL), and the files that verify them and show who asks (PEM); the
    certificate's holds its `key`, where that is in no file of its own."""

    url: str
    ca: str
    certificate: str
    key: str | None = None

    def connect(self) -> http.client.HTTPSConnection:
        """A connection, not open yet, with the certificate as it is now: it is renewed while the node runs. Raises
        OSError where a file is not there."""
        server = urlsplit(self.url)
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return connection_to(server.hostname or "", server.port, context)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What is followed: its name in words, the `paths` that list it, the newest version of the API first, and what is
    kept of an object: `read` returns None for one that does not count, and raises ValueError for one that can't be
    understood. `fields` is which of them alone, as in "spec.nodeName=n1"; empty for all."""

    name: str
    paths: tuple[str, ...]
    read: Callable[[Object], T | None]
    fields: str = ""

    @property
    def question(self) -> str:
        """What all questions for it begin with, after the path."""
        return f"?fieldSelector={quote(self.fields, safe='')}&" if self.fields else "?"


class Follower(Generic[T]):
    """Keeps `mirror` as the cluster has it. `say` is told of trouble, and that it is over."""

    def __init__(self, kind: Kind[T], server: ApiServer, mirror: Mirror[T], say: Callable[[str], None]) -> None:
        self._kind, self._server, self._mirror, self._say = kind, server, mirror, say
        self._path = kind.paths[0]
        self._version = ""
        self._listed_at = 0.0
        self._odd: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set; where that can't be done now, again after a pause."""
        said, pause = "", FIRST_PAUSE_SECONDS
        while not stop.is_set():
            try:
                self.once()
                problem, pause = "", FIRST_PAUSE_SECONDS
            except Expired:
                self._version, problem = "", EXPIRED
            # Whatever it is: a thread that ends would leave the node with what was true then.
            except Exception as error:
                if isinstance(error, Unanswered) and error.status < FIRST_OF_SERVERS and error.status != BUSY:
                    self._version = ""
                problem = f"{self._kind.name}: {type(error).__name__}: {error}"
            # The same trouble again and again would fill the journal and say nothing new.
            if problem not in (said, EXPIRED):
                self._say(problem or f"{self._kind.name}: followed again")
                said = problem
            if problem:
                stop.wait(pause * _some())
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                # One that ends every watch at once is not asked without a pause.
                stop.wait(BETWEEN_SECONDS * _some())

    def once(self) -> None:
        """List where that is due, and watch until the API server ends it. Raises Expired, Unanswered, OSError,
        HTTPException, and ValueError, LookupError or TypeError for what is no answer."""
        if not self._version or time.monotonic() - self._listed_at > LIST_AGAIN_SECONDS:
            self._list()
        self._watch()

    def _list(self) -> None:
        connection = self._server.connect()
        try:
            found, version = self._all(connection)
        finally:
            connection.close()
        self._mirror.replace(found)
        self._version, self._listed_at = version, time.monotonic()

    def _all(self, connection: http.client.HTTPSConnection) -> tuple[dict[str, T], str]:
        found: dict[str, T] = {}
        going_on = ""
        while True:
            more = f"&continue={quote(going_on, safe='')}" if going_on else ""
            part = self._part(connection, f"{self._kind.question}limit={CHUNK}{more}")
            for item in part["items"]:
                self._keep(item, found)
            metadata = part["metadata"]
            going_on = metadata.get("continue") or ""
            if not going_on:
                return found, _text(metadata["resourceVersion"])

    def _part(self, connection: http.client.HTTPSConnection, query: str) -> Any:
        """One answer of a list, from the newest version of the API that this server knows."""
        for path in (self._path, *(path for path in self._kind.paths if path != self._path)):
            answer = answer_to(connection, "GET", f"{path}{query}", None, {"Accept": "application/json"})
            if answer.status != NOT_FOUND:
                break
        if answer.status == GONE:
            raise Expired
        if answer.status != http.client.OK:
            raise Unanswered(answer.status, answer.body[:200].decode(errors="replace"))
        self._path = path
        return parsed_json(answer.body)

    def _keep(self, item: Object, found: dict[str, T]) -> None:
        kept = self._read(item)
        if kept is not None:
            found[key_of(item)] = kept

    def _read(self, item: Object) -> T | None:
        """What is kept of an object. One that can't be understood is said once, and keeps nobody from the others."""
        try:
            kept = self._kind.read(item)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if str(error) not in self._odd and len(self._odd) < MOST_SAID:
                self._odd.add(str(error))
                self._say(f"{self._kind.name}: {error}")
            return None
        return kept

    def _watch(self) -> None:
        seconds = WATCH_SECONDS + round(SPREAD_SECONDS * _some())
        path = (
            f"{self._path}{self._kind.question}watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}"
            f"&resourceVersion={quote(self._version, safe='')}"
        )
        connection = self._server.connect()
        try:
            with within(CONNECT_SECONDS):
                connection.request("GET", path, headers={"Accept": "application/json"})
                # The answer's own: it keeps the socket open where the connection gives it away.
                connected = connection.sock
                answer = connection.getresponse()
            if answer.status == GONE:
                raise Expired
            if answer.status != http.client.OK:
                raise Unanswered(answer.status, answer.read(200).decode(errors="replace"))
            connected.settimeout(SILENCE_SECONDS)
            for event in _events(answer):
                self._take(event)
        finally:
            connection.close()

    def _take(self, event: Object) -> None:
        what, item = event["type"], event["object"]
        if what == "ERROR":
            if item.get("code") == GONE:
                raise Expired
            raise Unanswered(int(item.get("code") or 0), str(item.get("message"))[:200])
        if what == "DELETED":
            self._mirror.put(key_of(item), None)
        elif what in ("ADDED", "MODIFIED"):
            self._mirror.put(key_of(item), self._read(item))
        # A bookmark says this and nothing else.
        self._version = _text(item["metadata"]["resourceVersion"])


def key_of(item: Object) -> str:
    """What tells an object from all others of its kind: "namespace/name", or "name". Raises KeyError, TypeError."""
    metadata = item["metadata"]
    name, namespace = _text(metadata["name"]), metadata.get("namespace")
    return f"{_text(namespace)}/{name}" if namespace else name


def _events(answer: http.client.HTTPResponse) -> Iterator[Object]:
    """The events of a watch, one a line. Raises ValueError for one that is too long or is no JSON."""
    while line := answer.readline(LONGEST_EVENT):
        if not line.endswith(b"\n"):
            # The connection was cut within a line, or the line is longer than any object.
            raise http.client.IncompleteRead(line[:200])
        yield parsed_json(line)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text was expected, and there is {type(value).__name__}")
    return value


def _some() -> float:
    """From a half to one: not all nodes do the same at the same moment."""
    return random.uniform(0.5, 1.0)  # noqa: S311
