"""A small client of the Kubernetes API: read, apply, delete. Always over verified TLS, always in bounded time."""

from __future__ import annotations

import copy
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bootstrap.clients.kubernetes_answers import is_too_slow, message_in, object_in
from bootstrap.clients.kubernetes_errors import (
    KubeBusy,
    KubeConflict,
    KubeError,
    KubeFailed,
    KubeForbidden,
    KubeMissing,
    KubeRefused,
    KubeSlow,
    KubeUnauthorized,
)
from bootstrap.clients.kubernetes_kinds import path_of, selector_of
from bootstrap.clients.shown import show
from bootstrap.pki.x509 import KeyPair
from bootstrap.protocol.exchange import bounded, read_whole, within
from bootstrap.protocol.token import Token

if TYPE_CHECKING:
    import httpx


# How long a request is sent again that may go well a moment later (seconds): a balancer that gives a server up cuts
# connections off, an API server that restarts or has lost its etcd says 500 or 503, a busy one 429.
PATIENCE = 8.0
# How long after the first time it is sent again, twice as long after each further one, and at most.
PAUSE = 0.5
# How long an answer may take until it is whole, and how many bytes it may have, unpacked: a list of all pods of a large
# cluster on a slow line is far from both.
WHOLE_SECONDS = 300.0
LARGEST = 256 << 20
LONGEST_PAUSE = 4.0
# What an answer is given at least, however little is left until a deadline.
LEAST_SECONDS = 1.0
# Source: https://kubernetes.io/docs/reference/using-api/api-concepts/, "Error responses"
PASSING = frozenset({408, 429, 500, 502, 503, 504})
CONFLICT = 409
# What is said of an object whose fields are not those of its kind: older API servers call that a failure of their own.
NOT_OF_ITS_KIND = "failed to create typed"
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_VERSION = re.compile(r"v[0-9]{1,3}\.([0-9]{1,4})\b", re.ASCII)
REMEMBERED = {"resourceVersion": "0"}
# Inside the class, `list` is a method.
Items = list[dict[str, Any]]
FIELD_MANAGER = "clusterup"
OURS = {"fieldManager": FIELD_MANAGER}
# The minor from which on evictions are asked for with policy/v1; the beta is gone some minors later.
EVICTION_V1 = 22


@dataclass(frozen=True, slots=True)
class Request:
    """What goes with a request beside its method and path."""

    parameters: Mapping[str, str] | None = None
    content: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json"


NOTHING = Request()


@dataclass(frozen=True, slots=True)
class _Answer:
    """An HTTP status and a whole body."""

    status: int
    body: bytes

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class KubeClient:
    """A connection to one API server. Use it as a context manager; safe between threads.

    `host` and `port` are where it is reached (perhaps a tunnel), `server_name` the name its certificate is checked
    for. `timeout` (seconds) is how long the server may say nothing, `whole` how long all of it may take. What did not
    go well and may pass is sent again for `patience` seconds: everything but POST may be asked twice. It shows who asks
    by the certificate of `client` or by a bootstrap `token`, which never shows in what is raised.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ca_pem: bytes,
        client: KeyPair | None,
        token: Token | None = None,
        server_name: str = "kubernetes",
        timeout: float = 10.0,
        whole: float = WHOLE_SECONDS,
        patience: float = PATIENCE,
    ) -> None:
        import httpx

        context = bounded(ssl.create_default_context(cadata=ca_pem.decode()))
        if client is not None:
            show(context, client)
        self._whole = whole
        self._where = f"https://{host}:{port}"
        self._timeout = timeout
        self._patience = patience
        self._deadline: float | None = None
        self._extensions = {"sni_hostname": server_name}
        shown = {"Authorization": f"Bearer {token.reveal()}"} if token is not None else {}
        self._client = httpx.Client(
            base_url=self._where, verify=context, timeout=timeout, trust_env=False, headers=shown
        )

    def __enter__(self) -> KubeClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def within(self, seconds: float) -> KubeClient:
        """The same connection for work that ends `seconds` from now: what may pass is sent again until then, and no
        answer is waited for much longer."""
        bounded = copy.copy(self)
        bounded._deadline = time.monotonic() + seconds
        return bounded

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """An object, or None where there is none of that name. Raises KubeError."""
        return self.ask("GET", path_of(kind, name, namespace))

    def remembered(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """As `get`, out of the API server's memory: it need not ask the quorum, and may be a moment behind.

        Raises KubeError. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
        """
        return self.ask("GET", path_of(kind, name, namespace), Request(REMEMBERED))

    def list_remembered(
        self,
        kind: str,
        namespace: str | None = None,
        fields: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Items:
        """As `list`, out of the API server's memory, and those alone that have these `labels`. Raises KubeError.

        Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api
        """
        parameters = {**REMEMBERED, **selector_of(fields), **selector_of(labels, "labelSelector")}
        return self._items(self.ask("GET", path_of(kind, None, namespace), Request(parameters)))

    def version_of_all(self, kind: str) -> int:
        """The version that the objects of a kind are at: any that was changed since has a later one. Raises KubeError.

        One object at most is looked for, however many there are. Versions are etcd's revisions, which only grow.
        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
        """
        path = path_of(kind)
        found = self.ask("GET", path, Request(selector_of({"metadata.name": "none"}))) or {}
        version = found.get("metadata", {}).get("resourceVersion", "")
        if not _NUMBER.fullmatch(version):
            raise self._not_understood(f"GET {path}", f"{version[:80]!r} is not a version")
        return int(version)

    def list(self, kind: str, namespace: str | None = None, fields: Mapping[str, str] | None = None) -> Items:
        """All objects of a kind, in one namespace or in all, whose `fields` have these values. Raises KubeError.

        Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
        """
        return self._items(self.ask("GET", path_of(kind, None, namespace), Request(selector_of(fields))))

    @staticmethod
    def _items(found: dict[str, Any] | None) -> Items:
        items: Items = (found or {}).get("items") or []
        return items

    def apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Make an object what `manifest` says, created where it is not there; what is so already stays untouched.

        Raises KubeError. Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
        """
        metadata = manifest["metadata"]
        path = path_of(manifest["kind"], metadata["name"], metadata.get("namespace", "default"))
        content = json.dumps(manifest).encode()
        asked = Request({**OURS, "force": "true"}, content, "application/apply-patch+yaml")
        # Somebody else wrote to it in the same moment: nothing of that is in the way of this.
        return self.ask("PATCH", path, asked, PASSING | {CONFLICT}) or {}

    def merge(self, kind: str, name: str, patch: dict[str, Any], namespace: str | None = None) -> None:
        """Merge a patch into an object (RFC 7396). A `resourceVersion` in it is the one that is changed, no later one.

        Raises KubeConflict when it has changed since, KubeError for all else.
        """
        asked = Request(OURS, json.dumps(patch).encode(), "application/merge-patch+json")
        self.ask("PATCH", path_of(kind, name, namespace), asked)

    def delete(self, kind: str, name: str, namespace: str | None = None) -> bool:
        """Delete an object. False when there is none of that name. Raises KubeError."""
        return self.ask("DELETE", path_of(kind, name, namespace)) is not None

    def delete_at_once(self, kind: str, name: str, namespace: str | None = None) -> bool:
        """As `delete`, of something that no one is there to end in order. Raises KubeError.

        Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-forced
        """
        options = json.dumps({"gracePeriodSeconds": 0}).encode()
        return self.ask("DELETE", path_of(kind, name, namespace), Request(content=options)) is not None

    def evict(self, pod: str, namespace: str) -> bool:
        """Ask for a pod's end, as far as disruption budgets allow it. False when there is no such pod.

        Raises KubeBusy that names the budget which does not allow it now, KubeError for all else.
        Source: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
        """
        version = "v1" if self._minor >= EVICTION_V1 else "v1beta1"
        eviction = {
            "apiVersion": f"policy/{version}",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
        }
        path = path_of("Pod", pod, namespace) + "/eviction"
        return self._answer("POST", path, Request(content=json.dumps(eviction).encode())).done

    @cached_property
    def _minor(self) -> int:
        """The minor of Kubernetes' version, 20 in "v1.20.2". Raises KubeError."""
        version = self.version()
        found = _VERSION.match(version)
        if found is None:
            raise self._not_understood("GET /version", f"{version[:80]!r} is not a version")
        return int(found[1])

    def log(self, pod: str, namespace: str) -> str:
        """What the only container of a pod has written. Raises KubeError."""
        return self._answer("GET", path_of("Pod", pod, namespace) + "/log").text

    def ready(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            return self.says_ready()
        except KubeError:
            return False

    def says_ready(self) -> bool:
        """As `ready`, where silence is not taken for a no. Raises KubeSlow, or KubeError where it can't be reached."""
        return self._says_yes("/readyz")

    def kubelet_says_healthy(self, node: str) -> bool:
        """Whether a Node's kubelet says so when the API server asks it. Raises KubeSlow, or KubeError where the API
        server can't be reached. Source: https://kubernetes.io/docs/reference/node/kubelet-authn-authz/"""
        return self._says_yes(f"/api/v1/nodes/{node}/proxy/healthz")

    def _says_yes(self, path: str) -> bool:
        import httpx

        try:
            with within(self._whole):
                return self._sent("GET", path, NOTHING, seconds := self._seconds).status == 200
        except httpx.HTTPError as error:
            raise self._no_answer(f"GET {path}", error, seconds) from None
        except ValueError as error:
            raise self._error(f"GET {path}", str(error), KubeRefused) from None

    def version(self) -> str:
        """The server's version, as in "v1.20.2". Raises KubeError."""
        found = self.ask("GET", "/version") or {}
        if not isinstance(version := found.get("gitVersion"), str):
            raise self._not_understood("GET /version", "it has no gitVersion")
        return version

    def ask(
        self,
        method: str,
        path: str,
        asked: Request = NOTHING,
        passing: frozenset[int] = PASSING,
        read: Callable[[bytes], dict[str, Any]] = object_in,
    ) -> dict[str, Any] | None:
        """The object that comes back, as `read` reads it, or None where there is none. What is in `passing` is asked
        again. Raises KubeError."""
        answer = self._answer(method, path, asked, passing)
        if answer.status == 404:
            return None
        try:
            return read(answer.body)
        except ValueError as error:
            raise self._not_understood(f"{method} {path}", str(error)) from None

    def _answer(self, method: str, path: str, asked: Request = NOTHING, passing: frozenset[int] = PASSING) -> _Answer:
        """The answer, which is a success, or says that there is no such thing to read, to delete or to evict."""
        began = time.monotonic()
        end = began + self._patience if self._deadline is None else self._deadline
        pause, times = PAUSE, 1
        with within(self._whole):
            while True:
                tried = f"{method} {path}"
                tried += f", {times} times in {time.monotonic() - began:.0f} s," if times > 1 else ""
                try:
                    return self._once(method, path, asked, tried)
                except KubeError as error:
                    conflict = isinstance(error, KubeConflict) and CONFLICT not in passing
                    late = time.monotonic() + pause >= min(end, began + self._whole)
                    # What is created twice is worse than what is not: who asked looks whether it is there.
                    if error.final or conflict or method == "POST" or late:
                        raise
                time.sleep(pause)
                pause, times = min(2 * pause, LONGEST_PAUSE), times + 1

    def _once(self, method: str, path: str, asked: Request, tried: str) -> _Answer:
        import httpx

        try:
            answer = self._sent(method, path, asked, seconds := self._seconds)
        except httpx.HTTPError as error:
            raise self._no_answer(tried, error, seconds) from None
        except ValueError as error:
            raise self._error(tried, str(error), KubeRefused) from None
        may_be_gone = method in ("GET", "DELETE") or path.endswith("/eviction")
        if answer.done or (answer.status == 404 and may_be_gone):
            return answer
        refusals = {401: KubeUnauthorized, 403: KubeForbidden, 404: KubeMissing, CONFLICT: KubeConflict, 429: KubeBusy}
        passes = answer.status in PASSING and NOT_OF_ITS_KIND not in answer.text
        other = KubeFailed if passes else KubeRefused
        kind = refusals.get(answer.status, other)
        raise self._error(tried, f"{answer.status}: {message_in(answer.text)}", kind)

    def _sent(self, method: str, path: str, asked: Request, seconds: float) -> _Answer:
        """The answer to a request. Raises HTTPError, and ValueError where it is too large."""
        with self._client.stream(
            method,
            path,
            params=asked.parameters,
            content=asked.content,
            headers={"Content-Type": asked.content_type} if asked.content else {},
            extensions=self._extensions,
            timeout=seconds,
        ) as answer:
            return _Answer(answer.status_code, read_whole(answer.iter_bytes(), LARGEST))

    @property
    def _seconds(self) -> float:
        """How long an answer may take that is asked for now."""
        if self._deadline is None:
            return self._timeout
        return max(LEAST_SECONDS, min(self._timeout, self._deadline - time.monotonic()))

    def _no_answer(self, tried: str, error: httpx.HTTPError, seconds: float) -> KubeError:
        import httpx

        said = str(error) or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            told = said if is_too_slow(error) else f"no answer within {seconds:.0f} s ({said})"
            return self._error(tried, told, KubeSlow)
        return self._error(tried, said, KubeRefused if "CERTIFICATE_VERIFY_FAILED" in said else KubeError)

    def _not_understood(self, tried: str, why: str) -> KubeError:
        return KubeError(
            "the API server's answer can't be understood",
            step="kubernetes",
            tried=f"{tried} at {self._where}",
            got=why,
            hint="find out what answers there (`journalctl -u kube-apiserver` on the server), then run this again",
        )

    def _error(self, tried: str, got: str, kind: type[KubeError] = KubeError) -> KubeError:
        return kind(
            "the API server did not do what it was asked",
            step="kubernetes",
            tried=f"{tried} at {self._where}",
            got=got,
            hint="look at `journalctl -u kube-apiserver` on a server; run the command again: it goes on from here",
        )
