"""A slow machine is not a failure: what may pass is asked again until the time is over; a refusal ends it at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import pytest

from bootstrap.clients import tunnel as ways
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeBusy, KubeForbidden, KubeRefused
from bootstrap.clients.tunnel import ApiServers, ask_api
from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import unobserved
from bootstrap.errors import ClusterupError
from bootstrap.operations import status
from bootstrap.operations.intent import Intent
from bootstrap.operations.verify import NAMESPACE, names_to_find, verify_cluster
from bootstrap.phases import control_plane as controlplane
from bootstrap.phases.control_plane import put_objects
from bootstrap.pki.store import ClusterPki
from bootstrap.pki.x509 import KeyPair, Usage, issue, new_authority
from bootstrap.state.credentials import OperatorKeys
from bootstrap.transport.base import Transport
from tests.helpers.local_transport import LocalTransport
from tests.helpers.moody_api import FINE, LATE, RESET, Mood, MoodyApi, moody_api
from tests.helpers.worlds import inventory

NODES = ("n1", "n2")
NAMES = names_to_find("cluster.local")
ROUND = 120.0
POD = f"/api/v1/namespaces/{NAMESPACE}/pods/serve-n1"
PASSING: tuple[Mood, ...] = (
    LATE,
    RESET,
    (503, "apiserver is shutting down"),
    (504, "gateway timeout"),
    (500, "etcdserver: request timed out"),
    (500, "etcdserver: leader changed"),
    (500, 'failed calling webhook "x": no endpoints available'),
    (429, "too many requests"),
)


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return new_authority("kubernetes")


@pytest.fixture
def api(authority: KeyPair, tmp_path: Path) -> Iterator[MoodyApi]:
    with moody_api(authority, tmp_path) as running:
        yield running


def verified(client: KubeClient, timeout: float = ROUND) -> set[tuple[str, str]]:
    said: list[str] = []
    fetches = verify_cluster(client, NODES, names=NAMES, claiming=NODES, timeout=timeout, say=said.append)
    return {(fetch.source, fetch.target) for fetch in fetches if fetch.fetched}


def test_verify_goes_on_when_the_first_answer_to_each_question_is_none(api: MoodyApi) -> None:
    moods, shown = cycle(PASSING), list[Mood]()

    def mood(method: str, path: str, times: int) -> Mood:
        if times > 1:
            return FINE
        shown.append(next(moods))
        return shown[-1]

    api.mood = mood
    with api.client(timeout=0.5) as client:
        assert verified(client) == {
            (a, b) for a in NODES for b in (*NODES, "api", "claim:local", *(f"name:{name}" for name in NAMES))
        }
    assert {*PASSING} == {*shown}
    assert api.times("PATCH", POD) == 2


@pytest.mark.parametrize(
    ("status", "kind"), [(403, KubeForbidden), (422, KubeRefused), (400, KubeRefused), (404, KubeRefused)]
)
def test_what_is_refused_ends_it_at_once_with_the_server_s_words(
    api: MoodyApi, status: int, kind: type[Exception]
) -> None:
    def mood(method: str, path: str, times: int) -> Mood:
        return (status, 'pods "serve-n1" is not allowed') if (method, path) == ("PATCH", POD) else FINE

    api.mood = mood
    with api.client() as client, pytest.raises(kind) as refused:
        verified(client)
    assert f'{status}: pods "serve-n1" is not allowed' in str(refused.value)
    assert api.times("PATCH", POD) == 1
    # Nothing of it is left.
    assert api.times("DELETE", f"/api/v1/namespaces/{NAMESPACE}") == 1


def test_a_list_that_is_forbidden_ends_a_wait_at_once(api: MoodyApi) -> None:
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    api.mood = lambda method, path, times: (403, "you may not list pods") if (method, path) == ("GET", pods) else FINE
    with api.client() as client, pytest.raises(KubeForbidden, match="did not do what it was asked") as refused:
        verified(client)
    assert "you may not list pods" in str(refused.value)
    assert api.times("GET", pods) == 1


def test_a_stall_without_end_is_told_in_words_when_the_time_is_over(api: MoodyApi) -> None:
    api.mood = lambda method, path, times: LATE if (method, path) == ("PATCH", POD) else FINE
    with api.client(timeout=0.5) as client, pytest.raises(ClusterupError) as late:
        verified(client, timeout=3.0)
    text = str(late.value)
    assert "no answer within" in text
    assert f"PATCH {POD}, " in text
    assert " times in " in text
    assert api.times("PATCH", POD) > 1


def test_pods_that_do_not_come_up_are_told_when_the_time_is_over(api: MoodyApi) -> None:
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    api.mood = lambda method, path, times: LATE if (method, path) == ("GET", pods) else FINE
    with api.client(timeout=0.5) as client, pytest.raises(ClusterupError) as late:
        verified(client, timeout=2.0)
    assert "in vain for pods to be Running or Succeeded" in str(late.value)
    assert "no answer within" in str(late.value)


def test_one_answer_is_not_waited_for_beyond_the_end_of_the_work(api: MoodyApi) -> None:
    # An hour for one answer: who waited for that would not come to an end here.
    api.mood = lambda method, path, times: LATE
    with api.client(timeout=3600.0) as client, pytest.raises(ClusterupError, match="did not do") as late:
        client.within(1.0).get("Namespace", "x")
    assert "no answer within" in str(late.value)


def test_an_eviction_is_not_asked_for_twice(api: MoodyApi) -> None:
    api.objects["/version"] = {"gitVersion": "v1.20.2"}
    api.mood = lambda method, path, times: (429, "the budget does not allow it") if method == "POST" else FINE
    with api.client() as client, pytest.raises(KubeBusy):
        client.evict("web-1", "default")
    assert api.times("POST", "/api/v1/namespaces/default/pods/web-1/eviction") == 1


def test_somebody_else_s_change_in_the_same_moment_does_not_end_an_apply(api: MoodyApi) -> None:
    api.mood = lambda method, path, times: (409, "the object has been modified") if times == 1 else FINE
    with api.client() as client:
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})
    assert api.times("PATCH", "/api/v1/namespaces/x") == 2


@dataclass
class To(LocalTransport):
    """A way to a node whose API server is at `port`."""

    port: int = 0

    def forward(self, host: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        return nullcontext((host, self.port))


def keys_of(authority: KeyPair) -> OperatorKeys:
    admin = issue(authority, common_name="admin", usage=Usage.CLIENT)
    return OperatorKeys(ClusterPki(authority, authority, authority, b"", b""), admin, admin)


def context_of(ports: dict[str, int]) -> RunContext:
    """A run's own context, in which each server is where its port says."""

    def way(node: str) -> Transport:
        return To(node, port=ports[node])

    action: Action[Any] = Action("x/do", None, "objects", "do it", lambda _: None, lambda _: None)
    return RunContext(action, Connections(way), unobserved, {}, threading.Event())


def test_an_action_goes_on_with_another_server_when_the_first_is_lost_in_the_middle(
    authority: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "API_SECONDS", 1.0)
    objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("a", "b", "c")]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with moody_api(authority, tmp_path / "one") as first, moody_api(authority, tmp_path / "two") as second:
        # It takes the first object, and is gone then: with its etcd, it says no more that it is ready.
        def mood(method: str, path: str, times: int) -> Mood:
            taken = "/api/v1/namespaces/a" in first.objects
            return (500, "etcdserver: request timed out") if taken else FINE

        first.mood = mood
        context = context_of({"s1": first.port, "s2": second.port})
        put_objects(context, objects, ApiServers("lab", ("s1", "s2"), keys_of(authority)))
    assert [*first.objects] == ["/api/v1/namespaces/a"]
    assert [*second.objects] == [f"/api/v1/namespaces/{name}" for name in ("a", "b", "c")]


def test_an_action_that_is_refused_ends_at_once_and_says_where(api: MoodyApi, authority: KeyPair) -> None:
    api.mood = lambda method, path, times: (403, "quota exceeded") if method == "PATCH" else FINE
    servers = ApiServers("lab", ("s1",), keys_of(authority))
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
    with pytest.raises(KubeForbidden) as refused:
        ask_api(context_of({"s1": api.port}), servers, lambda client: client.apply(manifest), what="it")
    assert "quota exceeded" in str(refused.value)
    assert api.times("PATCH", "/api/v1/namespaces/a") == 1


def test_an_action_s_time_ends_with_what_was_waited_for_and_the_last_answer(api: MoodyApi, authority: KeyPair) -> None:
    api.mood = lambda method, path, times: (500, "[-]etcd failed")
    servers = ApiServers("lab", ("s1",), keys_of(authority))
    with pytest.raises(ClusterupError) as late:
        ask_api(context_of({"s1": api.port}), servers, lambda client: client.list("Node"), what="the nodes", seconds=0)
    assert str(late.value).startswith("objects: waited 0 s in vain for the nodes")
    assert "s1: not ready" in str(late.value)


def health(api: MoodyApi, authority: KeyPair) -> status.ApiHealth:
    node = inventory().node("s1")
    intent = cast(Intent, type("Of", (), {"keys": keys_of(authority)}))
    connections = Connections(lambda name: To(name, port=api.port))
    return status._ask_api(intent, connections, node)


def test_one_slow_answer_does_not_make_an_api_server_unready(
    api: MoodyApi, authority: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "API_SECONDS", 1.0)
    api.objects["/version"] = {"gitVersion": "v1.20.2"}
    api.mood = lambda method, path, times: LATE if (path, times) == ("/readyz", 1) else FINE
    assert health(api, authority) == status.ApiHealth("s1", ready=True, version="v1.20.2")


def test_an_api_server_that_says_that_it_is_not_ready_is_believed_at_once(api: MoodyApi, authority: KeyPair) -> None:
    api.mood = lambda method, path, times: (500, "[-]etcd failed")
    assert health(api, authority).problem == "not ready"
    assert api.times("GET", "/readyz") == 1


def test_the_controllers_are_waited_for_when_the_objects_are_there(api: MoodyApi, authority: KeyPair) -> None:
    account = "/api/v1/namespaces/kube-system/serviceaccounts/default"
    api.mood = lambda method, path, times: (404, "not found") if (path, times) == (account, 1) else FINE
    put_objects(context_of({"s1": api.port}), (), ApiServers("lab", ("s1",), keys_of(authority)))
    assert api.times("GET", account) == 2
    assert controlplane.READY_SECONDS > 0
