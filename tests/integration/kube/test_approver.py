"""The approver, as the process that runs on servers, against a real API server and the real signing of certificates."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

import bootstrap
from bootstrap.pki.token import parse_token
from bootstrap.pki.x509 import Usage, issue
from bootstrap.steps.kube_client import KubeClient
from bootstrap.steps.objects import cluster_objects
from bootstrap.steps.token_objects import APPROVER
from tests.helpers.daemons import daemon, wait_for
from tests.integration.kube.kubelets import asked, certificate, comes_up, decision, is_allowed, request, says
from tests.integration.kube.operator import Types, types
from tests.integration.kube.servers import ApiServer
from tests.integration.kube.test_tokens import listed, made, may
from tests.unit.steps.worlds import inventory

__all__ = ["types"]
Approves = Callable[..., AbstractContextManager[None]]
AGENT = Path(bootstrap.__file__).parent / "node"


@pytest.fixture
def client(api_server: ApiServer) -> Iterator[KubeClient]:
    with api_server.client() as client:
        url = f"https://127.0.0.1:{api_server.port}"
        for manifest in cluster_objects(url, api_server.pki.ca.cert_pem, inventory(), "1.20.2"):
            client.apply(manifest)
        yield client


@pytest.fixture
def approves(api_server: ApiServer, client: KubeClient, tmp_path: Path) -> Approves:
    """Runs so many approvers, each as a server's unit does."""
    own = issue(api_server.pki.ca, common_name=APPROVER, usage=Usage.CLIENT)
    (tmp_path / "approver.crt").write_bytes(own.cert_pem)
    (tmp_path / "approver.key").write_bytes(own.key_pem)
    settings = {
        "server": f"https://127.0.0.1:{api_server.port}",
        "ca": str(api_server.pki_folder / "ca.crt"),
        "certificate": str(tmp_path / "approver.crt"),
        "key": str(tmp_path / "approver.key"),
    }
    (tmp_path / "approver.json").write_text(json.dumps(settings))
    argv = [sys.executable, "-Es", str(AGENT / "__main__.py"), "approve", str(tmp_path / "approver.json")]

    @contextmanager
    def run(count: int = 1) -> Iterator[None]:
        with ExitStack() as stack:
            for number in range(count):
                stack.enter_context(daemon(argv, tmp_path / f"approver-{number}.log"))
            yield

    return run


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
        assert (kind, why) == ("Denied", "the token is used up: it was for 1 of them, and 1 have joined")
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


def test_without_an_approver_nobody_says_yes(
    api_server: ApiServer, client: KubeClient, types: Types, controllers: None
) -> None:
    counted, plain = made(types, "--uses", "5")["token"], made(types)["token"]
    waits = asked(api_server, counted, "waits")
    # kube-controller-manager has looked at this one after the other.
    assert decided(client, asked(api_server, plain, "plain"))[0] == "Approved"
    assert decision(client, waits) == ("", "")


def test_a_token_for_one_node_is_for_no_other(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--node", "mine")["token"]
    with approves():
        assert decided(client, asked(api_server, token, "yours")) == (
            "Denied",
            "the token is for the node mine, and the machine calls itself yours",
        )
        assert decided(client, asked(api_server, token, "mine"))[0] == "Approved"


def test_the_name_of_a_live_node_is_not_given_away_and_that_of_a_dead_one_is(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--uses", "1")["token"]
    comes_up(api_server, "lives")
    with approves():
        kind, why = decided(client, asked(api_server, token, "lives"))
        assert kind == "Denied"
        assert why.startswith("the name lives is taken")
        says(api_server, "lives", "Unknown")
        # What was refused was not counted.
        assert decided(client, asked(api_server, token, "lives"))[0] == "Approved"


def test_what_is_no_kubelet_s_request_is_refused(
    api_server: ApiServer, client: KubeClient, types: Types, approves: Approves
) -> None:
    token = made(types, "--uses", "1")["token"]
    with approves():
        masters = asked(api_server, token, "m", content=request("m", "system:masters"))
        assert decided(client, masters) == (
            "Denied",
            "this is no request of a kubelet: its organization is 'system:masters', not system:nodes",
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
        assert decided(client, csr) == ("Denied", "the token is used up, revoked or over")
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
        return is_allowed(api_server, APPROVER, verb, resource, name=name, namespace=namespace)

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
