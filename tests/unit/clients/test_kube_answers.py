"""What an API server may answer, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.clients import kubernetes as kube_client
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_answers import object_in
from bootstrap.clients.kubernetes_errors import KubeError, KubeRefused
from bootstrap.engine.connections import Connections
from bootstrap.errors import ClusterupError
from bootstrap.facts import cluster as observe
from bootstrap.facts.cluster import read_api
from bootstrap.facts.model import UnitFacts
from bootstrap.facts.pods import pods_to_move
from bootstrap.phases.kubelet import told_at
from bootstrap.phases.node_metadata import leaving_since
from bootstrap.pki.x509 import KeyPair, Usage, issue, new_authority
from bootstrap.protocol.nodes import is_ready
from bootstrap.state.credentials import OperatorKeys
from bootstrap.tokens.listing import known_token, known_tokens
from tests.helpers.local_transport import LocalTransport
from tests.helpers.tls_server import answering
from tests.helpers.worlds import facts

NODE = {
    "kind": "Node",
    "metadata": {
        "name": "s1",
        "labels": {"a": "b"},
        "annotations": {"clusterup.dev/leaving": "x"},
        "resourceVersion": "7",
    },
    "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.20.2"}},
}
KEYS = cast(OperatorKeys, None)
wrong = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.just({}),
    st.just({"a": 1}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a value, the whole of it included."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@given(st.sampled_from(sorted(places({"items": [NODE, NODE]}), key=str)), wrong)
def test_whatever_stands_at_any_place_is_understood_or_refused(path: tuple[Any, ...], by: Any) -> None:
    body = json.dumps(replaced({"items": [NODE, NODE]}, path, by)).encode()
    try:
        found = object_in(body)
    except ValueError as error:
        assert str(error)
        return
    for node in found.get("items") or []:
        is_ready(node), told_at(node), leaving_since(node)
        assert isinstance(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""), str)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[]", "it is not an object: a list of 0"),
        ("null", "it is not an object"),
        ("{", "Expecting"),
        ("[" * 100_000, "nested too deep"),
        ('{"metadata": []}', "metadata of it is not a map: a list of 0"),
        ('{"metadata": {"labels": {"a": 1}}}', "metadata.labels of it is not a map of texts"),
        ('{"status": {"conditions": {"type": "Ready"}}}', "status.conditions of it is not a list of maps"),
        ('{"items": {}}', "its items are not a list of objects"),
        ('{"items": [{"metadata": {}}]}', "item 0 has no name"),
        ('{"items": [null]}', "its items are not a list of objects"),
    ],
)
def test_what_is_refused_is_named(body: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        object_in(body.encode())
    assert said in str(caught.value)


def test_a_null_is_a_field_that_is_not_there_and_secrets_are_not_repeated() -> None:
    assert object_in(b'{"metadata": {"name": "a", "labels": null}, "status": null}') == {"metadata": {"name": "a"}}
    with pytest.raises(ValueError, match="not a map of texts") as caught:
        object_in(b'{"kind": "Secret", "data": {"password": "hunter2", "other": 1}}')
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("data", [{"token-id": "ä"}, {"expiration": "not base64!"}, {"description": "=="}, {}])
def test_a_token_s_secret_may_hold_anything(data: dict[str, str]) -> None:
    uses = {"clusterup.dev/uses": "9" * 5000}
    assert known_token({"metadata": {"name": "bootstrap-token-abcdef", "annotations": uses}, "data": data}).uses is None


@contextmanager
def asked(
    folder: Path, answer: Callable[[str], tuple[int, bytes]], *, patience: float = kube_client.PATIENCE
) -> Iterator[KubeClient]:
    """A client of an API server that answers so."""
    authority: KeyPair = new_authority("kubernetes")
    pair = issue(authority, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["kubernetes", "127.0.0.1"])
    with (
        answering(pair, answer, folder) as port,
        KubeClient("127.0.0.1", port, ca_pem=authority.cert_pem, client=None, patience=patience) as client,
    ):
        yield client


QUESTIONS: dict[str, Callable[[KubeClient], object]] = {
    "get": lambda api: api.get("Node", "s1"),
    "list": lambda api: api.list("Node"),
    "remembered": lambda api: api.list_remembered("Node"),
    "version": lambda api: api.version(),
    "version of all": lambda api: api.version_of_all("Node"),
    "tokens": known_tokens,
    "pods": lambda api: pods_to_move(api.list("Pod")),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"<html>", b'{"items": [1]}', b'{"metadata": 1}', b"[" * 100_000, b"\xff"]
)
def test_an_answer_that_is_no_object_is_an_error_of_that_server(question: str, body: bytes, tmp_path: Path) -> None:
    with asked(tmp_path, lambda _: (200, body)) as api, pytest.raises(KubeError) as caught:
        QUESTIONS[question](api)
    assert "can't be understood" in caught.value.problem
    assert "https://127.0.0.1:" in str(caught.value)


@pytest.mark.parametrize("body", [b'{"gitVersion": 5}', b"{}", b'{"gitVersion": "one"}'])
def test_a_version_that_is_none_is_an_error_of_that_server(body: bytes, tmp_path: Path) -> None:
    with asked(tmp_path, lambda _: (200, body)) as api, pytest.raises(KubeError, match="can't be understood"):
        api.evict("a", "b")


def test_an_answer_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_client, "LARGEST", 1 << 20)
    with asked(tmp_path, lambda _: (200, b"x" * (2 << 20))) as api, pytest.raises(KubeRefused) as caught:
        api.get("Node", "s1")
    assert f"more than {1 << 20} bytes came" in str(caught.value)


@pytest.mark.parametrize("body", [b"[]", b'{"message": [1]}', b'{"details": 3, "message": "m"}', b"[" * 100_000, b""])
def test_a_refusal_may_hold_anything(body: bytes, tmp_path: Path) -> None:
    # Asked again once: more often says nothing new of the refusal.
    with asked(tmp_path, lambda _: (500, body), patience=1.0) as api, pytest.raises(KubeError, match="did not do"):
        api.get("Node", "s1")


class Server:
    """An API server that is ready, and lists what it was made with."""

    def __init__(self, listed: list[dict[str, Any]]) -> None:
        self.listed = listed

    def ready(self) -> bool:
        return True

    def list_remembered(self, kind: str, labels: object = None) -> list[dict[str, Any]]:
        return self.listed


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Server]:
    found: dict[str, Server] = {}

    @contextmanager
    def api_at(transport: LocalTransport, _: object) -> Iterator[Server]:
        yield found[transport.node]

    monkeypatch.setattr(observe, "api_at", api_at)
    return found


RUNNING = {"kube-apiserver.service": UnitFacts("active", "x")}


def test_where_one_server_answers_what_no_one_expected_the_next_is_asked(servers: dict[str, Server]) -> None:
    servers |= {"s1": Server([{"metadata": {}}]), "s2": Server([NODE])}
    nodes = {name: facts(units=RUNNING) for name in servers}
    found = read_api(nodes, list(servers), Connections(LocalTransport), KEYS, ())
    assert found is not None
    assert found.ready == {"s1": True}


def test_where_no_other_answers_it_is_said(servers: dict[str, Server]) -> None:
    servers["s1"] = Server([{"metadata": {}}])
    with pytest.raises(ClusterupError, match="s1: cluster: an error in clusterup itself"):
        read_api({"s1": facts(units=RUNNING)}, ["s1"], Connections(LocalTransport), KEYS, ())
