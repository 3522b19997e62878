"""From a URL, a token and a pin to a cluster that is the one that was meant; everything else is refused with a reason
of its own. The servers are real ones, and so is their TLS."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.joining.discovery import Discovered, discover, pins_of, server_url
from bootstrap.pki.token import ca_pin, cluster_info
from bootstrap.pki.x509 import KeyPair, Usage, issue, new_authority
from bootstrap.protocol.discovery import CLUSTER_INFO, ServerUrl
from bootstrap.protocol.token import Token, detached_signature
from tests.helpers.daemons import free_ports
from tests.helpers.tls_server import answering

TOKEN = Token("abcdef", "0123456789abcdef")
HOUR = 3600.0


@dataclass
class Cluster:
    """A cluster as strangers see it, and who answers in its place: `shown` is the authority that vouches for whom they
    talk to, `described` are those in the description."""

    folder: Path
    authority: KeyPair = field(default_factory=lambda: new_authority("kubernetes"))
    signed_with: tuple[Token, ...] = (TOKEN,)
    shown: KeyPair | None = None
    described: tuple[KeyPair, ...] = ()
    hosts: tuple[str, ...] = ("127.0.0.1",)
    ahead: float = 0.0
    asked: list[str] = field(default_factory=list)

    @property
    def pins(self) -> frozenset[str]:
        return frozenset({ca_pin(self.authority.cert_pem)})

    @property
    def description(self) -> dict[str, Any]:
        bundle = b"".join(each.cert_pem for each in self.described or (self.authority,))
        made = cluster_info("https://10.0.0.1:6443", bundle)
        told = made["data"]["kubeconfig"]
        made["data"] |= {f"jws-kubeconfig-{token.id}": detached_signature(told, token) for token in self.signed_with}
        return made

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        return 200, json.dumps(self.description).encode()

    @contextmanager
    def serves(self, answer: Callable[[str], tuple[int, bytes]] | None = None) -> Iterator[ServerUrl]:
        signer = self.shown or self.authority
        pair = issue(signer, common_name="kube-apiserver", usage=Usage.SERVER, hosts=self.hosts)
        with answering(pair, answer or self.answer, self.folder, ahead=self.ahead) as port:
            yield ServerUrl("127.0.0.1", port)

    def found(self, *, token: Token = TOKEN, pins: frozenset[str] | None = None, clock: float = 0.0) -> Discovered:
        with self.serves() as server:
            return discover(server, token, pins or self.pins, clock=lambda: time.time() + clock, patience=0)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_the_cluster_that_is_pinned_and_knows_the_token_is_found(cluster: Cluster) -> None:
    found = cluster.found()
    assert found.ca_pem == cluster.authority.cert_pem
    assert cluster.asked == [CLUSTER_INFO, CLUSTER_INFO]


def test_a_token_that_was_made_just_now_is_waited_for(cluster: Cluster) -> None:
    def answer(path: str) -> tuple[int, bytes]:
        cluster.signed_with = (TOKEN,) if cluster.asked else ()
        return cluster.answer(path)

    with cluster.serves(answer) as server:
        assert discover(server, TOKEN, cluster.pins).server == server


def test_a_token_that_the_cluster_does_not_know_is_refused(cluster: Cluster) -> None:
    with pytest.raises(Refused, match="knows no such token: it never did, or it has expired, was revoked") as refused:
        cluster.found(token=Token("zyxwvu", "0123456789abcdef"))
    assert "token zyxwvu" in str(refused.value)
    assert "0123456789abcdef" not in str(refused.value)
    assert "clusterup token create" in refused.value.hint


def test_a_description_that_another_secret_signed_is_refused(cluster: Cluster) -> None:
    cluster.signed_with = (Token("abcdef", "fedcba9876543210"),)
    with pytest.raises(Refused, match="not signed with this token") as refused:
        cluster.found()
    assert TOKEN.secret not in str(refused.value)


def test_another_authority_than_the_pinned_one_is_refused_with_both(cluster: Cluster) -> None:
    other = ca_pin(new_authority("kubernetes").cert_pem)
    with pytest.raises(Refused, match="not the cluster that is pinned") as refused:
        cluster.found(pins=frozenset({other}))
    assert other in str(refused.value)
    assert next(iter(cluster.pins)) in str(refused.value)


def test_one_of_several_pins_is_enough(cluster: Cluster) -> None:
    other = ca_pin(new_authority("kubernetes").cert_pem)
    assert cluster.found(pins=cluster.pins | {other}).ca_pem == cluster.authority.cert_pem


def test_a_man_in_the_middle_who_passes_the_signed_description_on_is_unmasked(cluster: Cluster) -> None:
    cluster.shown = new_authority("kubernetes")
    with pytest.raises(Refused, match="somebody between this machine and the cluster") as refused:
        cluster.found()
    assert "nothing was sent to them" in refused.value.hint


def test_a_man_in_the_middle_who_has_the_token_and_adds_his_authority_to_the_pinned_one_is_unmasked(
    cluster: Cluster,
) -> None:
    cluster.shown = new_authority("kubernetes")
    cluster.described = (cluster.authority, cluster.shown)
    with pytest.raises(Refused, match="somebody between this machine and the cluster"):
        cluster.found()


def test_a_description_that_comes_back_another_one_is_refused(cluster: Cluster) -> None:
    def answer(path: str) -> tuple[int, bytes]:
        if cluster.asked:
            cluster.described = (cluster.authority, new_authority("kubernetes"))
        return cluster.answer(path)

    with cluster.serves(answer) as server, pytest.raises(Refused, match="somebody between") as refused:
        discover(server, TOKEN, cluster.pins, patience=0)
    assert "otherwise than without" in str(refused.value)


def test_a_certificate_for_another_name_says_how_to_get_one(cluster: Cluster) -> None:
    cluster.hosts = ("10.0.0.1",)
    with pytest.raises(Refused, match="not made out to that name") as refused:
        cluster.found()
    assert "cluster.certificate_names" in refused.value.hint


def test_a_server_whose_clock_is_hours_ahead_is_told_with_the_hours(cluster: Cluster) -> None:
    cluster.ahead = 400 * 24 * HOUR
    with pytest.raises(
        Refused, match=r"the server's clock is 400 d 0 h ahead of this machine's; .* the server's"
    ) as no:
        cluster.found()
    assert no.value.hint.startswith("set the server's clock")


def test_a_clock_here_that_is_hours_behind_is_told_with_the_hours(cluster: Cluster) -> None:
    with pytest.raises(Refused, match=r"the server's clock is 7 h 0 min ahead of this .* is this machine's that") as no:
        cluster.found(clock=-7 * HOUR)
    assert no.value.hint.startswith("set this machine's clock")


def test_clocks_that_are_apart_with_no_witness_are_both_to_be_looked_at(cluster: Cluster) -> None:
    with pytest.raises(Refused, match=r"the server's clock is 2 h 0 min behind this machine's\n") as refused:
        cluster.found(clock=2 * HOUR)
    assert "compare both" in refused.value.hint


def test_minutes_make_no_difference(cluster: Cluster) -> None:
    assert cluster.found(clock=200).ca_pem


def test_a_server_that_is_off_can_t_be_reached(cluster: Cluster) -> None:
    server = ServerUrl("127.0.0.1", free_ports(1)[0])
    with pytest.raises(ClusterupError, match="can't be reached from this machine") as failed:
        discover(server, TOKEN, cluster.pins, patience=0)
    assert "Connection refused" in str(failed.value)
    assert str(server) in str(failed.value)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>It works</html>", "not an API server of a Kubernetes cluster"),
        (200, b'{"kind": "Pod"}', "not an API server of a Kubernetes cluster"),
        (200, b'["kind"]', "not an API server of a Kubernetes cluster"),
        (403, b'{"kind": "Status", "message": "forbidden"}', "tells no one how to join it"),
        (404, b'{"kind": "Status", "message": "not found"}', "tells no one how to join it"),
        (200, b'{"kind": "ConfigMap", "data": {}}', "not an API server of a Kubernetes cluster"),
    ],
)
def test_what_is_no_cluster_s_server_is_told_apart(cluster: Cluster, status: int, body: bytes, said: str) -> None:
    with cluster.serves(lambda _: (status, body)) as server, pytest.raises(Refused, match=said):
        discover(server, TOKEN, cluster.pins, patience=0)


def test_a_server_without_tls_is_not_ours(cluster: Cluster) -> None:
    plain = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=plain.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with pytest.raises(Refused, match="not an API server of a Kubernetes cluster"):
            discover(ServerUrl("127.0.0.1", plain.server_address[1]), TOKEN, cluster.pins, patience=0)
    finally:
        plain.shutdown()
        thread.join()
        plain.server_close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://192.0.2.11:6443", "https://192.0.2.11:6443"),
        ("192.0.2.11", "https://192.0.2.11:6443"),
        ("api.example:8443", "https://api.example:8443"),
        ("https://[2001:db8::1]:6443/", "https://[2001:db8::1]:6443"),
    ],
)
def test_a_server_is_named_with_or_without_what_goes_without_saying(text: str, found: str) -> None:
    assert str(server_url(text)) == found


@pytest.mark.parametrize("text", ["http://192.0.2.11", "", "https://", "192.0.2.11:x", "https://h/api", "https://a@h"])
def test_what_is_no_url_of_a_server_is_bad_use(text: str) -> None:
    with pytest.raises(BadUse, match="URL of the server"):
        server_url(text)


def test_no_pin_and_half_a_pin_are_bad_use() -> None:
    with pytest.raises(BadUse, match="nothing says which cluster is meant") as refused:
        pins_of([])
    assert "--ca-cert-hash" in refused.value.hint
    with pytest.raises(BadUse, match="not a pin"):
        pins_of(["sha256:abc"])
    assert pins_of([f" sha256:{'A' * 64}"]) == {f"sha256:{'a' * 64}"}


@pytest.mark.parametrize(
    "change",
    [
        lambda made: [],
        lambda made: {**made, "data": [1]},
        lambda made: {**made, "data": None},
        lambda made: {**made, "kind": ["ConfigMap"]},
        lambda made: {**made, "data": {"kubeconfig": 5}},
        lambda made: {"kind": "Status", "message": {"a": "b" * 100_000}},
        lambda made: {**made, "data": {**made["data"], "jws-kubeconfig-abcdef": 5}},
        lambda made: {**made, "data": {**made["data"], "jws-kubeconfig-abcdef": "\ud800"}},
        lambda made: {**made, "data": {**made["data"], "kubeconfig": "\ud800"}},
        lambda made: {**made, "data": signed("[" * 5000)},
        lambda made: {**made, "data": signed("clusters: [{cluster: 5}]")},
        lambda made: {**made, "data": signed("clusters: 5")},
        lambda made: {**made, "data": signed('clusters: !!int ""')},
        lambda made: {**made, "data": signed("clusters: !!timestamp x")},
        lambda made: {**made, "data": signed("clusters:\n" + "".join(f"{' ' * n}-\n" for n in range(1, 900)))},
        lambda made: {**made, "data": signed("a0: &a0 {x: 1}\n" + doubled(60))},
    ],
)
def test_an_answer_of_another_shape_is_refused_and_not_repeated_whole(
    cluster: Cluster, change: Callable[[dict[str, Any]], Any]
) -> None:
    def answer(_: str) -> tuple[int, bytes]:
        return 200, json.dumps(change(cluster.description)).encode()

    with cluster.serves(answer) as server, pytest.raises(Refused) as refused:
        discover(server, TOKEN, cluster.pins, patience=0)
    assert refused.value.step == "discovery"
    assert len(str(refused.value)) < 2000


def test_an_answer_that_is_nested_too_deep_is_refused(cluster: Cluster) -> None:
    with cluster.serves(lambda _: (200, b"[" * 200_000)) as server, pytest.raises(Refused, match="not an API server"):
        discover(server, TOKEN, cluster.pins, patience=0)


def doubled(times: int) -> str:
    """YAML of mappings that each hold the one before twice: more than all memory when it is followed."""
    return "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, times))


def signed(told: str) -> dict[str, str]:
    return {"kubeconfig": told, "jws-kubeconfig-abcdef": detached_signature(told, TOKEN)}


@pytest.mark.parametrize("text", ["https://[", "https://[::1", "http://[x]", "https://a:b:c", "\x1b]52;c;x\x07["])
def test_a_url_that_is_none_is_bad_use(text: str) -> None:
    with pytest.raises(BadUse, match="not understood"):
        server_url(text)
