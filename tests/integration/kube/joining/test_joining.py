"""Joining with a token against a real API server and a real kube-controller-manager, which signs the cluster's
description and the kubelets' certificates."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeError, KubeForbidden, KubeUnauthorized
from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP, LIMITED_GROUP, NODE
from bootstrap.errors import Refused
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.model import Ssh
from bootstrap.joining.discovery import Discovered, discover
from bootstrap.joining.node import Joining, JoiningMachine, described_agent, joining_of, token_client
from bootstrap.joining.plan import _refusals_told
from bootstrap.joining.preflight import token_problems
from bootstrap.operations.intent import Intent
from bootstrap.phases.credentials import cluster_credentials
from bootstrap.pki.kubeconfig import client_kubeconfig, token_kubeconfig, write_kubeconfig
from bootstrap.pki.token import ca_pin, new_token, token_secret
from bootstrap.pki.x509 import Usage, issue
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.token import Token
from bootstrap.spec.cluster_objects import base_objects
from bootstrap.spec.join_manifest_build import access_objects, agent_objects
from bootstrap.spec.kubeadm_objects import kubeadm_objects
from bootstrap.tokens.limited import counted_token_objects
from bootstrap.tokens.rbac import token_objects
from bootstrap.tokens.server import server_secret_name
from tests.helpers.daemons import daemon, free_ports, wait_for
from tests.helpers.worlds import bundle, intent
from tests.integration.kube.approvers import running_approvers
from tests.integration.kube.servers import ApiServer
from tests.integration.kube.test_kube_client import kubectl


@pytest.fixture(scope="module")
def cluster(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intent]:
    """What apply keeps in a cluster, in this one, with the controllers of joins at work."""
    folder = tmp_path_factory.mktemp("cluster")
    of = intent(folder)
    # The operator's keys are those of the API server that is there.
    described = agent_objects(of.inventory, of.bundle, cluster_credentials(of.state, api_server.pki))
    info = [each for each in of.objects if each["metadata"]["name"] in ("cluster-info", INFO_ROLE)]
    info[0]["data"]["kubeconfig"] = info[0]["data"]["kubeconfig"].replace(
        base64.b64encode(of.keys.pki.ca.cert_pem).decode(), base64.b64encode(api_server.pki.ca.cert_pem).decode()
    )
    with api_server.client() as client:
        read_by_kubeadm = kubeadm_objects(of.inventory, "1.20.2")
        own = token_objects(of.servers)
        for manifest in (*base_objects(), *read_by_kubeadm, *access_objects(), *own, *described, *info):
            client.apply(manifest)
    admin = issue(api_server.pki.ca, common_name="controllers", usage=Usage.CLIENT, organizations=["system:masters"])
    url = f"https://127.0.0.1:{api_server.port}"
    write_kubeconfig(folder / "conf", client_kubeconfig("lab", url, api_server.pki.ca.cert_pem, "controllers", admin))
    argv = [
        str(api_server.programs / "kube-controller-manager"),
        "--bind-address=127.0.0.1",
        f"--secure-port={free_ports(1)[0]}",
        "--port=0",
        f"--cert-dir={folder}",
        f"--kubeconfig={folder}/conf",
        "--leader-elect=false",
        "--controllers=bootstrapsigner,csrapproving,csrsigning",
        f"--cluster-signing-cert-file={api_server.pki_folder}/ca.crt",
        f"--cluster-signing-key-file={api_server.pki_folder}/ca.key",
    ]
    with daemon(argv, folder / "controllers.log"):
        yield of


INFO_ROLE = "kubeadm:bootstrap-signer-clusterinfo"


def server_of(api_server: ApiServer) -> ServerUrl:
    return ServerUrl("127.0.0.1", api_server.port)


def made(api_server: ApiServer, *, group: str = BOOTSTRAPPERS_GROUP, ends: timedelta = timedelta(hours=1)) -> Token:
    """A token that a person made."""
    token = new_token()
    with api_server.client() as client:
        expires = datetime.now(UTC) + ends
        client.apply(token_secret(token, expires=expires, description="a person's", groups=(group,)))
    return token


def found(api_server: ApiServer, token: Token) -> Discovered:
    return discover(server_of(api_server), token, frozenset({ca_pin(api_server.pki.ca.cert_pem)}), patience=30)


def joining(api_server: ApiServer, token: Token, of: Intent, name: str = "j1") -> Joining:
    discovered = found(api_server, token)
    machine = JoiningMachine(name, of.nodes["a1"].node.address, Ssh(host="10.77.0.31"))
    return joining_of(discovered, token, described_agent(discovered, token), machine, of.bundle)


def asks(api_server: ApiServer, token: Token, folder: Path, name: str) -> str:
    """What a kubelet does first with a token: the name of its request for a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}"),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    manifest = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": f"node-csr-{name}"},
        "spec": {
            "request": base64.b64encode(request.public_bytes(Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "key encipherment", "client auth"],
        },
    }

    (folder / "csr.json").write_text(json.dumps(manifest))
    url = f"https://127.0.0.1:{api_server.port}"
    write_kubeconfig(folder / "conf", token_kubeconfig("lab", url, api_server.pki.ca.cert_pem, token.reveal()))
    said = kubectl(api_server, folder / "conf", "create", "-f", str(folder / "csr.json"))
    assert said.returncode == 0, said.stderr
    return f"node-csr-{name}"


def test_a_new_token_leads_to_the_cluster_and_to_what_its_agents_are_made_of(
    api_server: ApiServer, cluster: Intent
) -> None:
    token = made(api_server)
    discovered = found(api_server, token)
    assert discovered.ca_pem == api_server.pki.ca.cert_pem
    described = described_agent(discovered, token)
    assert described.cluster_id == cluster.state.cluster_id
    assert [unit.name for unit in described.kubelet] == [unit.name for unit in cluster.nodes["a1"].kubelet]


def test_a_counted_token_reads_the_same(api_server: ApiServer, cluster: Intent) -> None:
    token = made(api_server, group=LIMITED_GROUP)
    assert described_agent(found(api_server, token), token).cluster == "lab"


def test_a_token_reads_nodes_and_nothing_else_of_the_namespace(api_server: ApiServer, cluster: Intent) -> None:
    token = made(api_server)
    with token_client(found(api_server, token), token) as client:
        assert client.get("Node", "nobody") is None
        for kind, name in (("ConfigMap", "other"), ("Secret", f"bootstrap-token-{token.id}")):
            with pytest.raises(KubeForbidden) as refused:
                client.get(kind, name, "kube-system")
            assert token.secret not in str(refused.value)
        with pytest.raises(KubeForbidden):
            client.list("ConfigMap", "kube-system")


def test_a_token_of_another_group_is_told_why_it_joins_nothing(api_server: ApiServer, cluster: Intent) -> None:
    token = made(api_server, group="system:bootstrappers:others")
    with pytest.raises(Refused, match="does not tell this token") as refused:
        described_agent(found(api_server, token), token)
    assert "clusterup apply" in refused.value.hint


def test_a_server_s_token_is_told_from_others_and_not_used_up(api_server: ApiServer, cluster: Intent) -> None:
    token = made(api_server, group="system:bootstrappers:clusterup:server")
    name = server_secret_name(token.id)
    metadata = {"name": name, "namespace": "kube-system"}
    role, binding = access_objects()[:2]
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"system:bootstrap:{token.id}"}
    with api_server.client() as client:
        client.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"handover": "c2VhbGVk"}})
        client.apply({**role, "metadata": metadata, "rules": [rule]})
        client.apply(
            {**binding, "metadata": metadata, "roleRef": {**binding["roleRef"], "name": name}, "subjects": [user]}
        )
    discovered = found(api_server, token)

    def told() -> str:
        with pytest.raises(Refused) as refused:
            described_agent(discovered, token)
        return str(refused.value)

    # A role that was just made is known a moment later.
    wait_for(lambda: "the token is a server's" in told(), "the role to be known")
    with api_server.client() as client:
        assert client.get("Secret", f"bootstrap-token-{token.id}", "kube-system") is not None


@pytest.mark.parametrize("ends", [timedelta(hours=-1), timedelta(days=-30)])
def test_an_expired_token_is_no_token(api_server: ApiServer, cluster: Intent, ends: timedelta) -> None:
    token = made(api_server, ends=ends)
    with pytest.raises(Refused, match="it has expired"):
        discover(server_of(api_server), token, frozenset({ca_pin(api_server.pki.ca.cert_pem)}), patience=0)


def test_a_revoked_token_is_no_token(api_server: ApiServer, cluster: Intent) -> None:
    token = made(api_server)
    discovered = found(api_server, token)
    with api_server.client() as client:
        client.delete("Secret", f"bootstrap-token-{token.id}", "kube-system")

    def unsigned() -> bool:
        info = client_get(api_server, "cluster-info")
        return f"jws-kubeconfig-{token.id}" not in info["data"]

    wait_for(unsigned, "the signature to be taken away")
    with pytest.raises(Refused, match="was revoked"):
        discover(server_of(api_server), token, frozenset({ca_pin(api_server.pki.ca.cert_pem)}), patience=0)

    def forgotten() -> bool:
        try:
            described_agent(discovered, token)
        except Refused as refused:
            return "does not let the token in" in str(refused)
        return False

    # An API server remembers for a while whom it has let in.
    wait_for(forgotten, "the API server to forget the token")


def client_get(api_server: ApiServer, name: str) -> dict[str, Any]:
    with api_server.client() as client:
        info = client.get("ConfigMap", name, "kube-public")
    assert info is not None
    return info


def test_no_one_is_let_in_without_a_token_or_with_a_wrong_one(api_server: ApiServer, cluster: Intent) -> None:
    server = server_of(api_server)
    for token, kind in ((None, KubeForbidden), (new_token(), KubeUnauthorized)):
        ways: dict[str, Any] = {"ca_pem": api_server.pki.ca.cert_pem, "client": None, "token": token}
        with KubeClient(server.host, server.port, **ways) as client, pytest.raises(kind):
            client.get("Node", "nobody")


def test_the_token_shows_in_no_failure(api_server: ApiServer, cluster: Intent) -> None:
    token = new_token()
    ways: dict[str, Any] = {"ca_pem": api_server.pki.ca.cert_pem, "client": None, "token": token}
    port = free_ports(1)[0]
    for place in (api_server.port, port):
        with KubeClient("127.0.0.1", place, **ways) as client, pytest.raises(KubeError) as failed:
            client.get("Node", "nobody")
        assert token.secret not in f"{failed.value} {failed.value!r} {client!r} {vars(client)!r}"


def test_a_kubelet_gets_its_certificate_for_the_token_that_was_given(
    api_server: ApiServer, cluster: Intent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    token = made(api_server)
    of = joining(api_server, token, cluster)
    with of.api() as api, running_approvers(api_server, tmp_path):
        told = _refusals_told(api, of)
        request = asks(api_server, token, tmp_path, "j1")

        def signed() -> bool:
            answer = api.get("CertificateSigningRequest", request)
            return bool(answer and answer["status"].get("certificate"))

        wait_for(signed, "the certificate")
        assert told() == []


def test_a_certificate_that_is_refused_is_told_with_the_reason(
    api_server: ApiServer, cluster: Intent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    token = made(api_server, group=LIMITED_GROUP)
    of = joining(api_server, token, cluster, "j2")
    with of.api() as api:
        told = _refusals_told(api, of)
        asks(api_server, token, tmp_path, "j3")
        request = asks(api_server, token, tmp_path, "j2")
        assert told() == []
        admin = issue(api_server.pki.ca, common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
        url = f"https://127.0.0.1:{api_server.port}"
        conf = client_kubeconfig("lab", url, api_server.pki.ca.cert_pem, "admin", admin)
        write_kubeconfig(tmp_path / "admin", conf)
        kubectl(api_server, tmp_path / "admin", "certificate", "deny", request, "node-csr-j3")
        # What the API server remembers may be a moment behind.
        wait_for(lambda: told() != [], "the refusal")
        (said,) = told()
        assert "kubectl certificate deny" in said
        assert _refusals_told(api, of)() == []


def test_a_token_for_another_node_is_refused_where_its_holder_may_read_so(
    api_server: ApiServer, cluster: Intent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    token = made(api_server)
    of = joining(api_server, token, cluster)
    assert list(token_problems(of, None)) == []
    name = f"bootstrap-token-{token.id}"
    metadata = {"name": "own-token", "namespace": "kube-system"}
    role, binding = access_objects()[:2]
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"system:bootstrap:{token.id}"}
    with api_server.client() as client:
        client.merge("Secret", name, {"metadata": {"annotations": {NODE: "worker-7"}}}, "kube-system")
        client.apply({**role, "metadata": metadata, "rules": [rule]})
        reference = {**binding["roleRef"], "name": "own-token"}
        client.apply({**binding, "metadata": metadata, "roleRef": reference, "subjects": [user]})
    wait_for(lambda: bool(list(token_problems(of, None))), "the role to be known")
    (problem,) = token_problems(of, None)
    assert "the token is for another node" in str(problem)
    assert "--name worker-7" in problem.hint


def test_a_name_that_the_token_would_not_get_is_said_before_the_machine_is_touched(
    api_server: ApiServer, cluster: Intent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    token = made(api_server)
    dead = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    (taken,) = token_problems(joining(api_server, token, cluster, "j9"), dead)
    assert "the token is for new names" in str(taken)
    assert "clusterup token create --node j9" in taken.hint
    (server_s,) = token_problems(joining(api_server, token, cluster, "s1"), None)
    assert "the name is a server's" in str(server_s)
    own = give_own(api_server, "j9")
    wait_for(lambda: not list(token_problems(joining(api_server, own, cluster, "j9"), dead)), "the role to be known")


def give_own(api_server: ApiServer, node: str) -> Token:
    """A token that was made for a node, as `clusterup token create --node` makes it."""
    token = new_token()
    expires = datetime.now(UTC) + timedelta(hours=1)
    with api_server.client() as client:
        given = {"groups": (LIMITED_GROUP,), "annotations": {NODE: node}}
        owner = client.apply(token_secret(token, expires=expires, description="for one", **given))  # type: ignore[arg-type]
        for manifest in counted_token_objects(token.id, owner):
            client.apply(manifest)
    return token


def test_a_bundle_of_other_versions_is_refused_with_both(
    api_server: ApiServer, cluster: Intent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    other: Bundle = bundle(tmp_path / "other", payload=b"another one")
    token = made(api_server)
    with pytest.raises(Refused, match="not the one that the cluster's nodes are made of") as refused:
        joining(api_server, token, dataclasses.replace(cluster, bundle=other))
    assert "kubernetes 1.20.2" in str(refused.value)
    assert cluster.bundle.artifact("payload").sha256[:12] in str(refused.value)
    assert other.artifact("payload").sha256[:12] in str(refused.value)
    assert not (tmp_path / "clusterup").exists()
