"""A small client of the Kubernetes API: read, apply, delete. Always over verified TLS, always in bounded time."""

from __future__ import annotations

import json
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bootstrap.errors import ClusterupError
from bootstrap.pki.token import Token
from bootstrap.pki.x509 import KeyPair
from bootstrap.steps.in_time import bounded, joined, within

if TYPE_CHECKING:
    import httpx

# How often a request is sent whose connection breaks, and how long after the first time it is sent again (seconds);
# twice as long after each further one.
TRIES = 5
PAUSE = 0.5
# How long an answer may take until it is whole, and how many bytes it may have, unpacked: a list of all pods of a large
# cluster on a slow line is far from both.
WHOLE_SECONDS = 300.0
LARGEST = 256 << 20
REMEMBERED = {"resourceVersion": "0"}
# Inside the class, `list` is a method.
Items = list[dict[str, Any]]
FIELD_MANAGER = "clusterup"
# The minor from which on evictions are asked for with policy/v1; the beta is gone some minors later.
EVICTION_V1 = 22
# kind -> (path of its API, plural, whether it lives in a namespace)
KINDS: dict[str, tuple[str, str, bool]] = {
    "CertificateSigningRequest": ("apis/certificates.k8s.io/v1", "certificatesigningrequests", False),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "ConfigMap": ("api/v1", "configmaps", True),
    "DaemonSet": ("apis/apps/v1", "daemonsets", True),
    "Deployment": ("apis/apps/v1", "deployments", True),
    "Namespace": ("api/v1", "namespaces", False),
    "Node": ("api/v1", "nodes", False),
    "Pod": ("api/v1", "pods", True),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings", True),
    "Secret": ("api/v1", "secrets", True),
    "Service": ("api/v1", "services", True),
    "ServiceAccount": ("api/v1", "serviceaccounts", True),
}


class KubeError(ClusterupError):
    """The API server can't be reached or refused what was asked."""


class KubeUnauthorized(KubeError):
    """The API server does not know (any more) who asks."""


class KubeForbidden(KubeError):
    """Who asks may not do that."""


class KubeConflict(KubeError):
    """The object is not the one any more that the change was made for."""


class KubeBusy(KubeError):
    """The server would do it, and not now: a budget holds an eviction up, or it is asked too much (429)."""


def path_of(kind: str, name: str | None = None, namespace: str | None = None) -> str:
    """The path of an object, or of all objects of a kind when no name is given."""
    api, plural, namespaced = KINDS[kind]
    middle = f"/namespaces/{namespace}" if namespaced and namespace else ""
    return f"/{api}{middle}/{plural}" + (f"/{name}" if name else "")


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
    for. `timeout` (seconds) is how long the server may say nothing, `whole` how long a call may take. It shows who asks
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
    ) -> None:
        import httpx

        context = bounded(ssl.create_default_context(cadata=ca_pem.decode()))
        if client is not None:
            _show(context, client)
        self._whole = whole
        self._where = f"https://{host}:{port}"
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

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """An object, or None where there is none of that name. Raises KubeError."""
        return self._json("GET", path_of(kind, name, namespace))

    def remembered(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """As `get`, out of the API server's memory: it need not ask the quorum, and may be a moment behind.

        Raises KubeError. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
        """
        return self._json("GET", path_of(kind, name, namespace), parameters=REMEMBERED)

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
        parameters = {**REMEMBERED, **_selector(fields), **_selector(labels, "labelSelector")}
        return self._items(self._json("GET", path_of(kind, None, namespace), parameters=parameters))

    def version_of_all(self, kind: str) -> int:
        """The version that the objects of a kind are at: any that was changed since has a later one. Raises KubeError.

        One object at most is looked for, however many there are. Versions are etcd's revisions, which only grow.
        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
        """
        found = self._json("GET", path_of(kind), parameters=_selector({"metadata.name": "none"}))
        return int((found or {})["metadata"]["resourceVersion"])

    def list(self, kind: str, namespace: str | None = None, fields: Mapping[str, str] | None = None) -> Items:
        """All objects of a kind, in one namespace or in all, whose `fields` have these values. Raises KubeError.

        Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
        """
        return self._items(self._json("GET", path_of(kind, None, namespace), parameters=_selector(fields)))

    @staticmethod
    def _items(found: dict[str, Any] | None) -> Items:
        items: Items = (found or {}).get("items") or []
        return items

    def apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Make an object what `manifest` says, created where it is not there; what is so already stays untouched.

        Raises KubeError. Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
        """
        metadata = manifest["metadata"]
        found = self._json(
            "PATCH",
            path_of(manifest["kind"], metadata["name"], metadata.get("namespace", "default")),
            parameters={"fieldManager": FIELD_MANAGER, "force": "true"},
            content=json.dumps(manifest).encode(),
            content_type="application/apply-patch+yaml",
        )
        return found or {}

    def merge(self, kind: str, name: str, patch: dict[str, Any], namespace: str | None = None) -> None:
        """Merge a patch into an object (RFC 7396). A `resourceVersion` in it is the one that is changed, no later one.

        Raises KubeConflict when it has changed since, KubeError for all else.
        """
        self._json(
            "PATCH",
            path_of(kind, name, namespace),
            parameters={"fieldManager": FIELD_MANAGER},
            content=json.dumps(patch).encode(),
            content_type="application/merge-patch+json",
        )

    def delete(self, kind: str, name: str, namespace: str | None = None) -> bool:
        """Delete an object. False when there is none of that name. Raises KubeError."""
        return self._json("DELETE", path_of(kind, name, namespace)) is not None

    def delete_at_once(self, kind: str, name: str, namespace: str | None = None) -> bool:
        """As `delete`, of something that nobody is there to end in order. Raises KubeError.

        Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-forced
        """
        options = json.dumps({"gracePeriodSeconds": 0}).encode()
        return self._json("DELETE", path_of(kind, name, namespace), content=options) is not None

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
        return self._answer("POST", path, content=json.dumps(eviction).encode()).done

    @cached_property
    def _minor(self) -> int:
        """The minor of Kubernetes' version, 20 in "v1.20.2"."""
        return int(self.version().split(".")[1])

    def log(self, pod: str, namespace: str) -> str:
        """What the only container of a pod has written. Raises KubeError."""
        return self._answer("GET", path_of("Pod", pod, namespace) + "/log").text

    def ready(self) -> bool:
        """Whether the server says that it is ready."""
        import httpx

        try:
            with within(self._whole):
                return self._asked("GET", "/readyz").status == 200
        except (httpx.HTTPError, ValueError):
            return False

    def version(self) -> str:
        """The server's version, as in "v1.20.2". Raises KubeError."""
        found = self._json("GET", "/version") or {}
        return str(found["gitVersion"])

    def _json(
        self,
        method: str,
        path: str,
        *,
        parameters: dict[str, str] | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any] | None:
        answer = self._answer(method, path, parameters=parameters, content=content, content_type=content_type)
        if answer.status == 404:
            return None
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._error(f"{method} {path}", f"no JSON object: {answer.text[:100]!r}")
        return found

    def _answer(
        self,
        method: str,
        path: str,
        *,
        parameters: dict[str, str] | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
    ) -> _Answer:
        """The answer, which is a success, or says that there is no such thing to read, to delete or to evict."""
        with within(self._whole):
            answer = self._asked_again(method, path, parameters, content, content_type)
        may_be_gone = method in ("GET", "DELETE") or path.endswith("/eviction")
        if not answer.done and not (answer.status == 404 and may_be_gone):
            refusals = {401: KubeUnauthorized, 403: KubeForbidden, 409: KubeConflict, 429: KubeBusy}
            kind = refusals.get(answer.status, KubeError)
            raise self._error(f"{method} {path}", f"{answer.status}: {_message(answer.text)}", kind)
        return answer

    def _asked_again(
        self, method: str, path: str, parameters: dict[str, str] | None, content: bytes | None, content_type: str
    ) -> _Answer:
        """The answer to a request, which is sent again where its connection breaks."""
        import httpx

        for attempt in range(1, TRIES + 1):
            try:
                return self._asked(method, path, parameters, content, content_type)
            except ValueError as error:
                raise self._error(f"{method} {path}", str(error)) from None
            except httpx.HTTPError as error:
                if attempt == TRIES or not _may_pass(error):
                    raise self._error(f"{method} {path}", str(error) or type(error).__name__) from None
                time.sleep(PAUSE * 2 ** (attempt - 1))
        raise AssertionError("the last try returns or raises")

    def _asked(
        self,
        method: str,
        path: str,
        parameters: dict[str, str] | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
    ) -> _Answer:
        """The answer to a request. Raises HTTPError, and ValueError where it is too large."""
        with self._client.stream(
            method,
            path,
            params=parameters,
            content=content,
            headers={"Content-Type": content_type} if content else {},
            extensions=self._extensions,
        ) as answer:
            return _Answer(answer.status_code, joined(answer.iter_bytes(), LARGEST))

    def _error(self, tried: str, got: str, kind: type[KubeError] = KubeError) -> KubeError:
        return kind(
            "the API server did not do what it was asked",
            step="kubernetes",
            tried=f"{tried} at {self._where}",
            got=got,
            hint="look at `journalctl -u kube-apiserver` on a server; applying again goes on from here",
        )


def _selector(wanted: Mapping[str, str] | None, parameter: str = "fieldSelector") -> dict[str, str]:
    selector = ",".join(f"{name}={value}" for name, value in (wanted or {}).items())
    return {parameter: selector} if selector else {}


def _may_pass(error: httpx.HTTPError) -> bool:
    """Whether the same request may go well a moment later: a balancer that gives a server up cuts connections off. All
    that is asked here may be asked twice."""
    import httpx

    broken = isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)
    return broken and "CERTIFICATE_VERIFY_FAILED" not in str(error)


def _show(context: ssl.SSLContext, client: KeyPair) -> None:
    """Make the context show a certificate. ssl reads it from files only: one that nobody else reads, for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(client.cert_pem + b"\n" + client.key_pem)
        context.load_cert_chain(pair)


def _message(text: str) -> str:
    try:
        said = json.loads(text)
        causes = (said.get("details") or {}).get("causes") or ()
        budgets = [str(cause["message"]) for cause in causes if cause.get("reason") == "DisruptionBudget"]
        return "; ".join(budgets) or str(said["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300]
