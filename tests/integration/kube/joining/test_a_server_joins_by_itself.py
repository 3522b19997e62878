"""`clusterup-node join` with a token that was made for a server, on a machine that is a folder: the real API server,
the etcd behind it and the real server of artifacts. How its own member gets its vote is in
tests/integration/etcd/test_joining_by_itself.py."""

from __future__ import annotations

import gzip
import json
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.tokens import LIMITED_GROUP, SERVER_GROUP, TOKENS_NAMESPACE
from bootstrap.errors import Refused
from bootstrap.inventory.model import Ssh
from bootstrap.joining.discovery import discover, server_url
from bootstrap.joining.node import JoiningMachine as Asked
from bootstrap.joining.server_bundle import MadeFor, check_same_server, made_for
from bootstrap.node import machine
from bootstrap.node.asking import Api
from bootstrap.node.joining import join
from bootstrap.node.joining import server as server_join
from bootstrap.node.joining.description import server_of
from bootstrap.node.joining.gateway import Etcd
from bootstrap.node.joining.quorum import Own
from bootstrap.pki.token import parse_token, token_secret
from bootstrap.pki.x509 import Usage, issue
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.token import Token
from bootstrap.spec.join_manifest_build import access_objects
from bootstrap.tokens.rbac import token_objects
from bootstrap.tokens.server_bundle import delete_made_objects, made_server_objects
from tests.integration.kube.folders import description
from tests.integration.kube.joining.test_a_node_joins_by_itself import NODE, Lab, lab, node_object, served

__all__ = ["lab", "served"]
ADDRESS = "127.0.0.1"
UNITS = ("etcd.service", "kube-apiserver.service", "kube-scheduler.service")


@pytest.fixture
def cluster(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """The cluster's etcd and this machine's API server are those that there are."""
    with lab.api.client() as client:
        for manifest in (*token_objects([]), *access_objects()):
            client.apply(manifest)
    monkeypatch.setattr(server_join, "ETCD_CLIENT_PORT", lab.api.member.client_port)
    monkeypatch.setattr(server_join, "OWN_API", ServerUrl("127.0.0.1", lab.api.port))
    agent, parts = server_of(made(lab))
    for unit in (*agent.runtime, *parts.etcd, *parts.control_plane, *agent.kubelet):
        (lab.folder / "digests" / unit.name).write_text(unit.digest)
    (lab.root / "etc/machine-id").write_text("a" * 32 + "\n")
    yield lab


def made(lab: Lab) -> str:
    """A server whose units all read one file."""
    pki = lab.api.pki
    etcd = issue(pki.etcd, common_name="kube-apiserver-etcd-client", usage=Usage.CLIENT)
    masters = issue(pki.ca, common_name="kubelets", usage=Usage.CLIENT, organizations=["system:masters"])
    contents = {
        "/etc/kubernetes/pki/ca.crt": pki.ca.cert_pem,
        "/etc/kubernetes/pki/etcd/ca.crt": pki.etcd.cert_pem,
        "/etc/kubernetes/pki/apiserver-etcd-client.crt": etcd.cert_pem,
        "/etc/kubernetes/pki/apiserver-etcd-client.key": etcd.key_pem,
        "/etc/kubernetes/pki/apiserver-kubelet-client.crt": masters.cert_pem,
        "/etc/kubernetes/pki/apiserver-kubelet-client.key": masters.key_pem,
        "/etc/kubernetes/server": b"the same for all units\n",
    }
    files = [{"path": path, "mode": 0o600, "content": content.decode()} for path, content in contents.items()]
    etcd_unit, *others = ({"name": name, "reads": ["/etc/kubernetes/server"]} for name in UNITS)
    own = {
        "name": NODE,
        "address": ADDRESS,
        "etcd": [etcd_unit],
        "control_plane": others,
        "handover": "for the next operator",
        "node": {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}},
    }
    base = description()
    return json.dumps({**base, "files": [*base["files"], *files], "server": own})


def server_s_token(lab: Lab, client: KubeClient) -> Token:
    """A token that something was made for."""
    token = lab.token()
    groups = (SERVER_GROUP, LIMITED_GROUP)
    expires = datetime.now(UTC) + timedelta(hours=1)
    owner = client.apply(token_secret(token, expires=expires, description="a test", groups=groups))
    for manifest in made_server_objects(token.id, owner, gzip.compress(made(lab).encode())):
        client.apply(manifest)
    return token


@pytest.fixture
def token(cluster: Lab) -> Iterator[Token]:
    with cluster.api.client() as client:
        token = server_s_token(cluster, client)
        yield token
        delete_made_objects(client, token.id)


@pytest.fixture
def voting(monkeypatch: pytest.MonkeyPatch, cluster: Lab) -> list[str]:
    """Its member of etcd gets its vote at once; who was made one."""
    made_members: list[str] = []

    def become(etcd: Etcd, own: Own, on: machine.Machine, start: Any) -> None:
        start()
        made_members.append(f"{own.name} at {own.address}")

    monkeypatch.setattr(server_join, "become_member", become)
    began = machine.begin

    def begin(units: Any, on: machine.Machine) -> None:
        began(units, on)
        if "kubelet.service" in [unit.name for unit in units]:
            node_object(cluster, "True")

    monkeypatch.setattr(join, "begin", begin)
    return made_members


def joined(lab: Lab, token: Token, **more: Any) -> None:
    lab.join(lab.wish(token, **{"address": None, **more}))


def test_it_is_a_member_of_etcd_then_a_control_plane_then_a_ready_node_with_a_server_s_labels(
    cluster: Lab, token: Token, voting: list[str]
) -> None:
    joined(cluster, token)
    assert cluster.said[-1] == f"{NODE} is a Ready server of lab"
    assert voting == [f"{NODE} at {ADDRESS}"]
    started = [
        line.split()[-1]
        for line in (cluster.folder / "said").read_text().splitlines()
        if line.startswith("restart --no-block")
    ]
    assert started == ["containerd.service", *UNITS, "kubelet.service"]
    assert "try-reload-or-restart ssh.service" in (cluster.folder / "said").read_text().splitlines()
    handover = cluster.root / "var/lib/clusterup/handover.json"
    assert (handover.read_text(), stat.S_IMODE(handover.stat().st_mode)) == ("for the next operator", 0o600)
    key = cluster.root / "etc/kubernetes/pki/apiserver-etcd-client.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with cluster.api.client() as client:
        found = client.get("Node", NODE)
    assert found is not None
    assert found["metadata"]["labels"] == {"node-role.kubernetes.io/control-plane": ""}
    assert token.secret not in "".join(cluster.said)


def test_the_same_machine_goes_on_with_it_and_another_one_is_told_that_it_was_used(
    cluster: Lab, token: Token, voting: list[str]
) -> None:
    joined(cluster, token)
    # Whoever comes a second time finds its Node Ready, and a certificate of its own.
    joined(cluster, token)
    with cluster.api.client() as client:
        client.delete("Node", NODE)
    (cluster.root / "etc/machine-id").write_text("b" * 32 + "\n")
    with pytest.raises(Failure, match="another machine has used this token"):
        joined(cluster, token)


def test_of_two_machines_that_come_at_once_one_gets_past(cluster: Lab, token: Token, voting: list[str]) -> None:
    becoming = server_join.made_for(_api(cluster, token), token)
    assert becoming is not None
    on = machine.Machine(cluster.root, cluster.said.append)
    server_join.claim(becoming, _api(cluster, token), on)
    (cluster.root / "etc/machine-id").write_text("b" * 32 + "\n")
    # It has read the Secret before the other one noted itself.
    with pytest.raises(Failure, match="another machine has used this token"):
        server_join.claim(becoming, _api(cluster, token), on)


def _api(lab: Lab, token: Token) -> Api:
    context = ssl.create_default_context(cadata=lab.api.pki.ca.cert_pem.decode())
    return Api(ServerUrl("127.0.0.1", lab.api.port), context, {"Authorization": f"Bearer {token.reveal()}"})


def test_another_name_and_another_address_are_refused_before_the_token_is_used(
    cluster: Lab, token: Token, voting: list[str]
) -> None:
    with pytest.raises(Failure, match=f"is for the server {NODE}, and this machine calls itself other"):
        joined(cluster, token, name="other")
    elsewhere = made(cluster).replace(f'"address": "{ADDRESS}"', '"address": "198.51.100.1"')
    with cluster.api.client() as client:
        owner = client.get("Secret", f"bootstrap-token-{token.id}", TOKENS_NAMESPACE)
        assert owner is not None
        for manifest in made_server_objects(token.id, owner, gzip.compress(elsewhere.encode())):
            client.apply(manifest)
    with pytest.raises(Failure, match=r"is at 198.51.100.1, and this machine has no such address"):
        joined(cluster, token)
    assert voting == []
    assert not (cluster.root / "var").exists()


def test_one_that_does_not_get_its_vote_leaves_no_learner(
    cluster: Lab, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(etcd: Etcd, own: Own, on: machine.Machine, start: Any) -> None:
        etcd.add_learner(own.url)
        raise Failure("etcd.service does not start")

    monkeypatch.setattr(server_join, "become_member", fails)
    with pytest.raises(Failure, match=r"etcd\.service does not start"):
        joined(cluster, token)
    assert cluster.said[-1] == "this server did not get its vote; it is not a member of etcd"
    with cluster.api.etcd() as etcd:
        assert len(etcd.members()) == 1


def test_who_would_join_it_from_elsewhere_learns_whose_it_is(cluster: Lab, token: Token) -> None:
    url = server_url(f"https://127.0.0.1:{cluster.api.port}")
    found = discover(url, parse_token(token.reveal()), frozenset({cluster.pin}))
    assert made_for(found, token) == MadeFor(NODE, IPv4Address(ADDRESS))
    assert made_for(found, cluster.token()) is None
    with pytest.raises(Refused, match=f"is for the server {NODE} at {ADDRESS}"):
        check_same_server(MadeFor(NODE, IPv4Address(ADDRESS)), Asked("other", IPv4Address(ADDRESS), ssh=Ssh()))
