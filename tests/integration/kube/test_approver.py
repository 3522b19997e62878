"""The approver, as the process that runs on servers, against a real API server and the real signing of certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.objects import APPROVER_USER, CONTROL_PLANE
from bootstrap.inventory.model import Role
from bootstrap.pki.token import new_token, parse_token, token_secret
from bootstrap.spec.cluster_objects import cluster_objects
from bootstrap.tokens.kubelet import give_token, take_tokens_back
from tests.helpers.daemons import wait_for
from tests.helpers.worlds import inventory
from tests.integration.kube.approvers import running_approvers, url_of
from tests.integration.kube.kubelets import (
    asked,
    certificate,
    comes_up,
    decision,
    is_allowed,
    renewed,
    request,
    says,
)
from tests.integration.kube.operator import Types, types
from tests.integration.kube.servers import ApiServer
from tests.integration.kube.test_tokens import listed, made, may

__all__ = ["types"]
Approves = Callable[..., AbstractContextManager[None]]
SERVER = {CONTROL_PLANE: ""}


@pytest.fixture
def client(api_server: ApiServer) -> Iterator[KubeClient]:
    with api_server.client() as client:
        for manifest in cluster_objects(url_of(api_server), api_server.pki.ca.cert_pem, inventory(), "1.20.2"):
            client.apply(manifest)
        yield client


@pytest.fixture
def approves(api_server: ApiServer, client: KubeClient, tmp_path: Path) -> Approves:
    """Runs so many approvers, each as a server's unit does."""
    return lambda count=1: running_approvers(api_server, tmp_path, count)


def decided(client: KubeClient, csr: dict[str, Any]) -> tuple[str, str]:
    wait_for(lambda: decision(client, csr)[0] != "", "a decision", 60)
    return decision(client, csr)


def is_there(client: KubeClient, token: str) -> bool:
    return client.get("Secret", f"bootstrap-token-{parse_token(token).id}", "kube-system") is not None


def test_a_token_for_one_join_lets_one_kubelet_in_and_refuses_the_next_one(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves, controllers: None
) -> None:
    token = made(types, "--uses", "1")["token"]
    first = asked(api_server, token, "once-1")
    with approves():
        assert decided(client, first) == ("Approved", f"once-1 joins with the token {token[:6]}, use 1 of 1")
        wait_for(lambda: certificate(client, first) != b"", "the certificate", 60)
        signed = x509.load_pem_x509_certificate(certificate(client, first))
        assert signed.subject.rfc4514_string() == "CN=system:node:once-1,O=system:nodes"
        kind, why = decided(client, asked(api_server, token, "once-2"))
        assert kind == "Denied"
        assert why.startswith("the token is used up: it was for 1 and has let in 1. ")
        assert (listed(types)[token[:6]]["used"], listed(types)[token[:6]]["uses"]) == (1, 1)


def test_a_used_up_token_goes_when_who_used_it_is_in_and_not_before(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves, controllers: None
) -> None:
    token = made(types, "--uses", "2")["token"]
    with approves():
        for name in ("gone-1", "gone-2"):
            assert is_there(client, token)
            assert decided(client, asked(api_server, token, name))[0] == "Approved"
            comes_up(api_server, name)
        wait_for(lambda: not is_there(client, token), "the end of the token", 60)
        role = f"clusterup-counted-{token[:6]}"
        wait_for(lambda: client.get("Role", role, "kube-system") is None, "the end of the right to read it", 120)


def kubeadm_s(client: KubeClient) -> str:
    """A token as `kubeadm token create` makes it: in kubeadm's own group, and nothing is counted."""
    token = new_token()
    client.apply(token_secret(token, expires=datetime.now(UTC) + timedelta(hours=1), description=""))
    return token.reveal()


def test_without_an_approver_no_one_says_yes(
    api_server: ApiServer, client: KubeClient, types: Types, controllers: None
) -> None:
    waiting = [asked(api_server, token, "waits") for token in (made(types)["token"], kubeadm_s(client))]
    # kube-controller-manager has looked at this one after the others.
    comes_up(api_server, "renews")
    assert decided(client, renewed(api_server, "renews"))[0] == "Approved"
    assert [decision(client, csr) for csr in waiting] == [("", "")] * 2


def test_a_node_renews_its_own_certificate_without_anybody_s_token(
    api_server: ApiServer, client: KubeClient, controllers: None
) -> None:
    comes_up(api_server, "server-1", SERVER)
    csr = renewed(api_server, "server-1")
    assert decided(client, csr) == (
        "Approved",
        "Auto approving self kubelet client certificate after SubjectAccessReview.",
    )
    wait_for(lambda: certificate(client, csr) != b"", "the certificate", 60)
    signed = x509.load_pem_x509_certificate(certificate(client, csr))
    assert signed.subject.rfc4514_string() == "CN=system:node:server-1,O=system:nodes"


def test_kubeadm_s_token_takes_new_names_and_no_server_s_be_it_ready_or_not(
    api_server: ApiServer, client: KubeClient, approves: Approves, controllers: None
) -> None:
    token = kubeadm_s(client)
    comes_up(api_server, "server-1", SERVER)
    with approves():
        for ready in ("True", "Unknown"):
            says(api_server, "server-1", ready)
            csr = asked(api_server, token, "server-1")
            kind, why = decided(client, csr)
            assert kind == "Denied"
            assert why.startswith("the name server-1 is a server's, and a token for agents never gets it")
            assert certificate(client, csr) == b""
        new = asked(api_server, token, "a-new-one")
        assert decided(client, new) == (
            "Approved",
            f"a-new-one joins with the token {token[:6]}, which is not counted",
        )
        wait_for(lambda: certificate(client, new) != b"", "the certificate", 60)


def test_a_server_s_name_is_kept_while_its_node_is_away_for_a_moment(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    # s1 is in the inventory, and has no Node.
    assert client.get("Node", "s1") is None
    with approves():
        for token in (kubeadm_s(client), made(types)["token"], made(types, "--uses", "unlimited")["token"]):
            kind, why = decided(client, asked(api_server, token, "s1"))
            assert (kind, why.partition(",")[0]) == ("Denied", "the name s1 is a server's")


@pytest.mark.parametrize("ready", ["True", "False", "Unknown"])
def test_the_name_of_a_node_ready_or_not_is_given_to_a_token_for_it_alone(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves, ready: str
) -> None:
    name = f"agent-{ready.lower()}"
    comes_up(api_server, name)
    says(api_server, name, ready)
    ordinary = [kubeadm_s(client), made(types)["token"], made(types, "--uses", "unlimited")["token"]]
    own = made(types, "--node", name)["token"]
    with approves():
        for token in ordinary:
            kind, why = decided(client, asked(api_server, token, name))
            assert kind == "Denied"
            assert why.startswith(f"the name {name} is taken")
            assert f"clusterup token create --node {name}" in why
        assert decided(client, asked(api_server, own, name))[0] == "Approved"
        # What was refused was not counted.
        assert listed(types)[ordinary[1][:6]]["left"] == 1
        client.delete("Node", name)
        assert decided(client, asked(api_server, ordinary[1], name))[0] == "Approved"


def test_what_an_apply_makes_for_a_node_gives_it_its_name_again(
    api_server: ApiServer, client: KubeClient, approves: Approves
) -> None:
    comes_up(api_server, "server-1", SERVER)
    comes_up(api_server, "agent-1")
    with approves():
        for name, role in (("server-1", Role.SERVER), ("agent-1", Role.AGENT), ("s1", Role.SERVER)):
            token = give_token(client, name, role).reveal()
            assert decided(client, asked(api_server, token, name))[0] == "Approved"
            assert decided(client, asked(api_server, token, "another"))[0] == "Denied"
        agents = give_token(client, "server-1", Role.AGENT).reveal()
        assert decided(client, asked(api_server, agents, "server-1"))[0] == "Denied"
    for name in ("server-1", "agent-1", "s1"):
        take_tokens_back(client, name)


def test_a_token_for_one_node_is_for_no_other(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--node", "mine")["token"]
    with approves():
        kind, why = decided(client, asked(api_server, token, "yours"))
        assert kind == "Denied"
        assert why.startswith("the token is for the node mine, and the machine calls itself yours")
        assert decided(client, asked(api_server, token, "mine"))[0] == "Approved"


OTHERS = [
    x509.DNSName("kubernetes.default.svc"),
    x509.IPAddress(ip_address("10.96.0.1")),
    x509.RFC822Name("root@example.org"),
    x509.UniformResourceIdentifier("spiffe://example.org/admin"),
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: type(other).__name__)
def test_who_asks_for_another_name_as_well_is_refused_and_uses_nothing_up(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves, other: x509.GeneralName
) -> None:
    token = made(types)["token"]
    name = f"san-{type(other).__name__.lower()}"
    with approves():
        assert decided(client, asked(api_server, token, name, content=request(name, others=[other]))) == (
            "Denied",
            "this is not a request of a kubelet: it asks for other names (a subjectAltName), and a kubelet asks for "
            "its name alone",
        )
        assert (listed(types)[token[:6]]["used"], listed(types)[token[:6]]["left"]) == (0, 1)
        assert decided(client, asked(api_server, token, name))[0] == "Approved"


def test_a_huge_request_and_many_others_of_one_token_keep_no_one_waiting(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    flood, token = made(types)["token"], made(types)["token"]
    huge = asked(api_server, flood, "huge", content=b"nothing\n" * 100_000 + request("huge"))
    many = [asked(api_server, flood, f"flood-{number}") for number in range(70)]
    last = asked(api_server, token, "patient")
    with approves():
        assert decided(client, last)[0] == "Approved"
        found = [decided(client, csr)[0] for csr in many]
        kind, why = decided(client, huge)
    assert (found.count("Approved"), found.count("Denied")) == (1, 69)
    assert (kind, "16384 at most" in why) == ("Denied", True)


def test_two_approvers_give_a_token_for_one_node_to_one_of_two_that_ask_at_once(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    rounds = []
    for number in range(5):
        token = made(types)["token"]
        rounds.append((token, [asked(api_server, token, f"race-{number}-{each}") for each in range(2)]))
    with approves(2):
        for token, waiting in rounds:
            assert sorted(decided(client, csr)[0] for csr in waiting) == ["Approved", "Denied"]
            assert listed(types)[token[:6]]["used"] == 1


def test_where_no_one_says_which_names_are_servers_no_one_is_let_in_until_it_is_said(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves, tmp_path: Path
) -> None:
    token = made(types)["token"]
    servers = client.get("ConfigMap", "clusterup-servers", "kube-system")
    assert servers is not None
    client.delete("ConfigMap", "clusterup-servers", "kube-system")
    csr = asked(api_server, token, "early")
    with approves():
        log = tmp_path / "approver-0.log"
        wait_for(lambda: "does not say which names are servers'" in log.read_text(), "what is missing to be said")
        assert decision(client, csr) == ("", "")
        kept = {key: servers["metadata"][key] for key in ("name", "namespace")}
        client.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept, "data": servers["data"]})
        assert decided(client, csr)[0] == "Approved"


def test_what_is_no_kubelet_s_request_is_refused(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--uses", "1")["token"]
    with approves():
        masters = asked(api_server, token, "m", content=request("m", "system:masters"))
        assert decided(client, masters) == (
            "Denied",
            "this is not a request of a kubelet: its organization is 'system:masters', not system:nodes",
        )
        server = asked(api_server, token, "s", usages=("digital signature", "server auth"))
        assert decided(client, server)[0] == "Denied"
        assert decided(client, asked(api_server, token, "good"))[0] == "Approved"


def test_a_use_that_was_counted_before_the_power_went_is_approved_and_not_counted_again(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--uses", "1")["token"]
    csr = asked(api_server, token, "power")
    counted = {"metadata": {"annotations": {"clusterup.dev/used-by": csr["metadata"]["uid"]}}}
    client.merge("Secret", f"bootstrap-token-{token[:6]}", counted, "kube-system")
    with approves():
        assert decided(client, csr)[0] == "Approved"
    assert listed(types)[token[:6]]["used"] == 1


def test_a_second_request_under_the_name_of_a_counted_one_is_another_request(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--uses", "1")["token"]
    with approves():
        assert decided(client, asked(api_server, token, "twin", name="csr-twin"))[0] == "Approved"
        # As the cleaner of requests does after an hour.
        client.delete("CertificateSigningRequest", "csr-twin")
        assert decided(client, asked(api_server, token, "other", name="csr-twin"))[0] == "Denied"


def test_three_servers_together_count_no_use_twice(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--uses", "3")["token"]
    waiting = [asked(api_server, token, f"many-{number}") for number in range(9)]
    with approves(3):
        found = [decided(client, csr)[0] for csr in waiting]
    assert sorted(found) == ["Approved"] * 3 + ["Denied"] * 6
    assert listed(types)[token[:6]]["used"] == 3


def test_whoever_asked_with_a_token_that_was_revoked_since_is_refused(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--uses", "1")["token"]
    csr = asked(api_server, token, "late")
    assert types("token", "revoke", token[:6]).exit_code == 0
    with approves():
        assert decided(client, csr) == (
            "Denied",
            "the token is used up, revoked or over. Another token: clusterup token create",
        )
    for kind in ("Role", "RoleBinding"):
        for name in (f"clusterup-counted-{token[:6]}", f"clusterup-holder-{token[:6]}"):
            assert client.get(kind, name, "kube-system") is None


def test_a_name_that_would_break_a_line_or_a_path_is_only_a_name(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves, tmp_path: Path
) -> None:
    token = made(types, "--uses", "1")["token"]
    asked(api_server, token, "odd", name="a b\napproved ?x=1#")
    with approves():
        # A token that was used up says that the request before it was answered.
        wait_for(lambda: listed(types)[token[:6]]["used"] == 1, "the use", 60)
        assert decided(client, asked(api_server, token, "even"))[0] == "Denied"
    lines = (tmp_path / "approver-0.log").read_text().splitlines()
    assert [line for line in lines if line.startswith("approved ")] == [
        f"approved 'a b\\napproved ?x=1#': odd joins with the token {token[:6]}, use 1 of 1"
    ]


def test_the_approver_may_do_no_more_than_that(api_server: ApiServer, client: KubeClient) -> None:
    def can(verb: str, resource: str, name: str = "") -> bool:
        namespace = "kube-system" if resource == "secrets" else ""
        return is_allowed(api_server, APPROVER_USER, verb, resource, name=name, namespace=namespace)

    signers = "signers.certificates.k8s.io"
    assert can("approve", signers, "kubernetes.io/kube-apiserver-client-kubelet")
    assert not can("approve", signers, "kubernetes.io/kube-apiserver-client")
    assert not can("sign", signers, "kubernetes.io/kube-apiserver-client-kubelet")
    assert can("get", "nodes", "a1")
    assert not can("list", "nodes")
    assert not can("list", "secrets")
    assert not can("get", "secrets", "clusterup-server-abcdef")
    assert not can("get", "secrets", "bootstrap-token-abcdef")
    assert not can("create", "certificatesigningrequests.certificates.k8s.io")


def test_the_holder_of_a_counted_token_may_ask_and_not_decide(
    api_server: ApiServer, client: KubeClient, types: Types, tmp_path: Path
) -> None:
    token = made(types, "--uses", "1")["token"]
    assert may(api_server, tmp_path, token, "create", "csr") == "yes"
    assert may(api_server, tmp_path, token, "update", "csr", "--subresource=approval") == "no"
    assert may(api_server, tmp_path, token, "create", "csr", "--subresource=nodeclient") == "no"
    assert may(api_server, tmp_path, token, "list", "secrets", "-n", "kube-system") == "no"


def test_its_holder_reads_for_whom_a_token_is_and_nothing_of_other_tokens(
    api_server: ApiServer, client: KubeClient, types: Types, tmp_path: Path
) -> None:
    token, other = (made(types, "--node", name)["token"] for name in ("one", "other"))

    def may_with(verb: str, wanted: str) -> str:
        secret = f"secret/bootstrap-token-{wanted[:6]}"
        return may(api_server, tmp_path, token, verb, secret, "-n", "kube-system")

    assert may_with("get", token) == "yes"
    assert may_with("patch", token) == "no"
    assert may_with("get", other) == "no"
