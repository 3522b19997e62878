"""`clusterup-node join` on a machine that is a folder: the real API server and the real server of artifacts; systemctl
and the kubelet that it starts are programs of the test."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bootstrap.clients.kubernetes import KubeClient, Request
from bootstrap.clients.kubernetes_errors import KubeForbidden
from bootstrap.constants.paths import BOOTSTRAP_CONF, KUBELET_CERTIFICATE, PAYLOAD_LINK
from bootstrap.constants.tokens import NODE as NODE_OF
from bootstrap.node import machine
from bootstrap.node.joining import fetch, join
from bootstrap.node.joining.description import agent_of
from bootstrap.pki.token import cluster_info, new_token, token_secret
from bootstrap.pki.x509 import KeyPair, Usage, issue, new_authority
from bootstrap.protocol.certificate import pin_of
from bootstrap.protocol.discovery import CLUSTER_INFO, ServerUrl, discover
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.token import Token, detached_signature
from bootstrap.tokens.limited import counted_token_objects
from tests.helpers.daemons import free_ports, wait_for
from tests.helpers.tls_server import answering
from tests.integration.kube.folders import (
    ADDRESS,
    IMAGE,
    PAYLOAD,
    der_of,
    description,
    made_machine,
    served_artifacts,
    sha256,
    sign,
)
from tests.integration.kube.kubelets import asked, denies
from tests.integration.kube.servers import ApiServer

NODE = "stranger"


@dataclass
class Lab:
    """A cluster that lets nodes join, and who joins it."""

    api: ApiServer
    port: int
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def pin(self) -> str:
        return pin_of(der_of(self.api.pki.ca))

    def token(self, expires: timedelta = timedelta(hours=1)) -> Token:
        """A token that the API server knows and cluster-info is signed with."""
        token = new_token()
        with self.api.client() as client:
            client.apply(token_secret(token, expires=datetime.now(UTC) + expires, description="a test"))
        sign(self.api, token)
        return token

    def token_for(self, node: str) -> Token:
        """A token that was made for a node alone."""
        token = self.token()
        with self.api.client() as client:
            found = client.get("Secret", f"bootstrap-token-{token.id}", "kube-system")
            assert found is not None
            client.merge(
                "Secret", found["metadata"]["name"], {"metadata": {"annotations": {NODE_OF: node}}}, "kube-system"
            )
            for manifest in counted_token_objects(token.id, found):
                client.apply(manifest)
        return token

    def may_look(self, token: Token) -> bool:
        """Whether the API server lets its holder see for whom it is."""
        with KubeClient(
            "127.0.0.1", self.api.port, ca_pem=self.api.pki.ca.cert_pem, client=None, token=token
        ) as client:
            try:
                return client.get("Secret", f"bootstrap-token-{token.id}", "kube-system") is not None
            except KubeForbidden:
                return False

    def wish(self, token: Token, **more: Any) -> join.Wish:
        settings = {"pins": frozenset({self.pin}), "name": NODE, "address": ADDRESS, **more}
        server = ServerUrl("127.0.0.1", self.api.port)
        return join.Wish(server, token, **settings)

    def join(self, wish: join.Wish) -> None:
        join.join(wish, machine.Machine(self.root, self.said.append))


@pytest.fixture(scope="module")
def served(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the server of artifacts."""
    with served_artifacts(api_server, tmp_path_factory.mktemp("served")) as port:
        yield port


@pytest.fixture
def lab(api_server: ApiServer, served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    lab = Lab(api_server, served, tmp_path)
    pair = issue(
        api_server.pki.ca, common_name=f"system:node:{NODE}", usage=Usage.CLIENT, organizations=["system:nodes"]
    )
    (tmp_path / "client.pem").write_bytes(pair.cert_pem + pair.key_pem)
    certificate = f"{lab.root}{KUBELET_CERTIFICATE}"
    gets_its_certificate = f"mkdir -p {Path(certificate).parent} && cp {tmp_path}/client.pem {certificate}"
    made_machine(tmp_path, api_server, NODE, gets_its_certificate)
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:{os.environ['PATH']}")
    monkeypatch.setattr(join, "LOCAL_API", ServerUrl("127.0.0.1", api_server.port))
    monkeypatch.setattr(join, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(join, "SIGNED_SECONDS", 0.0)
    monkeypatch.setattr(join, "Source", lambda servers, ca, token: fetch.Source(servers, ca, token, port=served))
    yield lab
    with api_server.client() as client:
        client.delete("Node", NODE)


def node_object(lab: Lab, ready: str) -> None:
    """What the kubelet would make of its Node."""
    with lab.api.client() as client:
        client.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        status = {"conditions": [{"type": "Ready", "status": ready, "reason": "a", "message": "b"}]}
        content = json.dumps({"status": status}).encode()
        asked = Request(None, content, "application/strategic-merge-patch+json")
        client.ask("PATCH", f"/api/v1/nodes/{NODE}/status", asked)


def test_it_has_everything_and_runs_it_and_its_token_is_gone(lab: Lab) -> None:
    token = lab.token()
    with pytest.MonkeyPatch.context() as patch:
        # There is a Ready Node once the kubelet has been started.
        began = machine.begin

        def begin(units: Any, on: Any) -> None:
            began(units, on)
            if "kubelet.service" in [unit.name for unit in units]:
                conf = lab.root / BOOTSTRAP_CONF.lstrip("/")
                assert stat.S_IMODE(conf.stat().st_mode) == 0o600 if conf.exists() else lab.said
                node_object(lab, "True")

        patch.setattr(join, "begin", begin)
        lab.join(lab.wish(token))
    assert lab.said[-1] == f"{NODE} is a Ready node of lab"
    assert (lab.root / "etc/kubernetes/kubelet.yaml").read_text() == f"node: {NODE} at 192.0.2.9\n"
    assert (lab.root / "var/lib/clusterup/etc/kubernetes/kubelet.yaml").exists()
    assert stat.S_IMODE((lab.root / "etc/clusterup/private").stat().st_mode) == 0o600
    payload = lab.root / f"var/lib/clusterup/payloads/{sha256(PAYLOAD)}.raw"
    assert payload.read_bytes() == PAYLOAD
    assert str((lab.root / PAYLOAD_LINK.lstrip("/")).readlink()) == f"/var/lib/clusterup/payloads/{payload.name}"
    assert (lab.root / "var/lib/clusterup/images/pause.tar").read_bytes() == IMAGE
    assert not (lab.root / BOOTSTRAP_CONF.lstrip("/")).exists()
    assert token.secret not in "".join(lab.said)

    (lab.folder / "said").unlink()
    lab.join(lab.wish(token))
    said = (lab.folder / "said").read_text()
    assert "restart" not in said
    assert "daemon-reload" not in said


def test_a_certificate_that_is_refused_is_told_with_the_reason_and_one_that_was_is_not(lab: Lab) -> None:
    token = lab.token()
    denies(lab.api, asked(lab.api, token.reveal(), NODE), "an earlier try")
    with pytest.MonkeyPatch.context() as patch:
        # Its kubelet is refused each certificate that it asks for.
        began = machine.begin

        def begin(units: Any, on: Any) -> None:
            if "kubelet.service" in [unit.name for unit in units]:
                denies(lab.api, asked(lab.api, token.reveal(), NODE), "no one knows it")
            else:
                began(units, on)

        patch.setattr(join, "begin", begin)
        with pytest.raises(Failure, match="refuses this machine its certificate") as told:
            lab.join(lab.wish(token))
    assert "no one knows it" in str(told.value)
    assert "an earlier try" not in str(told.value)


def test_an_interrupted_transfer_goes_on_and_a_damaged_one_is_refused(lab: Lab) -> None:
    part = lab.root / f"var/lib/clusterup/payloads/{sha256(PAYLOAD)}.raw.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"not the payload")
    token = lab.token()
    with pytest.raises(Failure, match="what arrived is not what the cluster describes"):
        lab.join(lab.wish(token))
    assert not part.exists()
    part.write_bytes(PAYLOAD[:1000])
    source = fetch.Source(["127.0.0.1"], lab.api.pki.ca.cert_pem.decode(), token.reveal(), port=lab.port)
    agent = agent_of(json.dumps(description()), NODE, ADDRESS)
    source.bring(agent.payload, lab.root / agent.payload.path.lstrip("/"), lab.said.append)
    assert (lab.root / agent.payload.path.lstrip("/")).read_bytes() == PAYLOAD


def test_a_name_that_a_live_node_has_is_refused_before_anything_is_touched(lab: Lab) -> None:
    node_object(lab, "True")
    with pytest.raises(Failure, match=f"has a node {NODE} already, and it is Ready"):
        lab.join(lab.wish(lab.token()))
    assert not (lab.root / "var").exists()


def test_a_name_that_a_dead_node_has_needs_a_token_for_it(lab: Lab) -> None:
    node_object(lab, "Unknown")
    with pytest.raises(Failure, match=f"has a node {NODE} already, and the token is for new names") as told:
        lab.join(lab.wish(lab.token()))
    assert f"clusterup token create --node {NODE}" in str(told.value)
    assert not (lab.root / "var").exists()
    own = lab.token_for(NODE)
    wait_for(lambda: lab.may_look(own), "the API server to know the token's rights")
    with pytest.MonkeyPatch.context() as patch:
        # As far as to the kubelet, which no one starts here.
        patch.setattr(join, "begin", lambda *_: None)
        patch.setattr(join, "READY_SECONDS", 0.0)
        with pytest.raises(Failure, match="did not become Ready"):
            lab.join(lab.wish(own))


def test_a_token_for_another_node_is_refused_before_anything_is_touched(lab: Lab) -> None:
    other = lab.token_for("worker-7")
    wait_for(lambda: lab.may_look(other), "the API server to know the token's rights")
    with pytest.raises(Failure, match=f"the token is for the node worker-7, and this machine calls itself {NODE}"):
        lab.join(lab.wish(other))
    assert not (lab.root / "var").exists()


def test_a_kubelet_that_asks_with_an_older_token_is_started_again_with_the_new_one(lab: Lab) -> None:
    tokens = [lab.token(), lab.token()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join, "READY_SECONDS", 0.0)
        patch.setattr(join, "KUBELET_CERTIFICATE", "/none")
        for token in (tokens[0], tokens[0], tokens[1]):
            with pytest.raises(Failure, match="did not become Ready"):
                lab.join(lab.wish(token))
    said = (lab.folder / "said").read_text().splitlines()
    kubelet_s = [line for line in said if line in ("stop kubelet.service", "restart --no-block kubelet.service")]
    # The same token again lets it go on.
    assert kubelet_s == ["stop kubelet.service", "restart --no-block kubelet.service"] * 2


def test_a_machine_of_another_cluster_is_refused(lab: Lab) -> None:
    (lab.root / "etc/clusterup").mkdir()
    (lab.root / "etc/clusterup/cluster.json").write_text(json.dumps({"cluster": "theirs", "id": "d" * 32}))
    with pytest.raises(Failure, match="was installed for another cluster"):
        lab.join(lab.wish(lab.token()))


def test_a_token_that_the_cluster_does_not_know_is_refused(lab: Lab) -> None:
    with pytest.raises(Failure, match="the cluster knows no such token"):
        lab.join(lab.wish(new_token()))


def test_a_token_with_another_second_half_is_refused(lab: Lab) -> None:
    token = lab.token()
    with pytest.raises(Failure, match="is not signed with this token"):
        lab.join(lab.wish(Token(token.id, "a" * 16)))


def test_a_token_that_may_not_join_is_refused(lab: Lab) -> None:
    token = lab.token()
    with lab.api.client() as client:
        others = ["system:bootstrappers:others"]
        expires = datetime.now(UTC) + timedelta(hours=1)
        client.apply(token_secret(token, expires=expires, description="a test", groups=others))
    with pytest.raises(Failure, match="does not let this token join"):
        lab.join(lab.wish(token))


def test_another_authority_than_the_pinned_one_is_refused(lab: Lab) -> None:
    other = pin_of(der_of(new_authority("another")))
    with pytest.raises(Failure, match="is not the cluster that is pinned"):
        lab.join(lab.wish(lab.token(), pins=frozenset({other})))


def test_clocks_that_are_hours_apart_are_named(lab: Lab) -> None:
    server = ServerUrl("127.0.0.1", lab.api.port)
    token = lab.token()
    with pytest.raises(Failure, match="2 h 0 min ahead of this machine's"):
        discover(server, token, frozenset({lab.pin}), clock=lambda: time.time() - 7200)


def test_a_server_that_does_not_answer_is_named() -> None:
    (port,) = free_ports(1)
    with pytest.raises(Failure, match="can't be reached from this machine"):
        discover(ServerUrl("127.0.0.1", port), Token("a" * 6, "b" * 16), frozenset())


@dataclass
class InTheMiddle:
    """Somebody who has the token and describes the cluster as he likes, over TLS of an authority of his own."""

    folder: Path
    real: KeyPair
    token: Token
    own: KeyPair = field(default_factory=lambda: new_authority("kubernetes"))
    asked: list[str] = field(default_factory=list)

    def discover(self, *described: KeyPair) -> bytes:
        told = cluster_info("https://127.0.0.1:6443", b"".join(each.cert_pem for each in described))
        signature = detached_signature(told["data"]["kubeconfig"], self.token)
        data = {**told["data"], f"jws-kubeconfig-{self.token.id}": signature}

        def answer(path: str) -> tuple[int, bytes]:
            self.asked.append(path)
            return 200, json.dumps({**told, "data": data}).encode()

        shown = issue(self.own, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["127.0.0.1"])
        pins = frozenset({pin_of(der_of(self.real))})
        with answering(shown, answer, self.folder) as port:
            server = ServerUrl("127.0.0.1", port)
            return discover(server, self.token, pins, patience=0.0)


@pytest.fixture
def in_the_middle(tmp_path: Path) -> InTheMiddle:
    return InTheMiddle(tmp_path, new_authority("kubernetes"), new_token())


def test_a_man_in_the_middle_with_the_token_and_another_authority_is_not_believed(in_the_middle: InTheMiddle) -> None:
    with pytest.raises(Failure, match="is not the cluster that is pinned"):
        in_the_middle.discover(in_the_middle.own)


def test_one_who_passes_the_pinned_authority_on_is_unmasked_by_what_he_shows(in_the_middle: InTheMiddle) -> None:
    with pytest.raises(Failure, match="somebody between this machine and the cluster"):
        in_the_middle.discover(in_the_middle.real)
    with pytest.raises(Failure, match="somebody between this machine and the cluster"):
        in_the_middle.discover(in_the_middle.real, in_the_middle.own)
    # Nothing else was asked, and the token was sent to no one.
    assert set(in_the_middle.asked) == {CLUSTER_INFO}
