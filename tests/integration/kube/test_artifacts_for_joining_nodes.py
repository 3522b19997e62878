"""What a server hands to nodes that join by themselves: the real process, and the real API server that it asks."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from bootstrap.pki.token import new_token, token_secret
from bootstrap.protocol.token import Token
from tests.helpers.daemons import wait_for
from tests.integration.kube.folders import serving, sign
from tests.integration.kube.servers import ApiServer

CONTENT = b"the payload " * 200_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Artifacts:
    """The process that serves, as a joining node sees it."""

    port: int
    ca: str
    token: Token

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        context = ssl.create_default_context(cadata=self.ca)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def authorized(self, path: str, token: Token, **headers: str) -> tuple[int, bytes]:
        return self.get(path, Authorization=f"Bearer {token.reveal()}", **headers)


@pytest.fixture(scope="module")
def artifacts(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artifacts]:
    folder = tmp_path_factory.mktemp("artifacts")
    (folder / "payload.raw").write_bytes(CONTENT)
    token = new_token()
    with (
        serving(api_server, folder, {SHA256: f"{folder}/payload.raw", "0" * 64: f"{folder}/lost.raw"}) as port,
        api_server.client() as api,
    ):
        api.apply(token_secret(token, expires=datetime.now(UTC) + timedelta(hours=1), description="a test"))
        sign(api_server, token)
        served = Artifacts(port, api_server.pki.ca.cert_pem.decode(), token)
        wait_for(lambda: served.authorized("/", token)[0] == 404, "the token to be known")
        yield served


def test_a_token_gets_the_payload(artifacts: Artifacts) -> None:
    assert artifacts.authorized(f"/artifacts/{SHA256}", artifacts.token) == (200, CONTENT)


def test_a_transfer_that_was_cut_goes_on_where_it_ended(artifacts: Artifacts) -> None:
    status, rest = artifacts.authorized(f"/artifacts/{SHA256}", artifacts.token, Range="bytes=1000000-")
    assert (status, rest) == (206, CONTENT[1_000_000:])
    status, _ = artifacts.authorized(f"/artifacts/{SHA256}", artifacts.token, Range=f"bytes={len(CONTENT)}-")
    assert status == 416


def test_no_one_gets_anything_without_a_token_that_is_good(artifacts: Artifacts) -> None:
    path = f"/artifacts/{SHA256}"
    status, said = artifacts.get(path)
    assert (status, said) == (401, b"show a bootstrap token: Authorization: Bearer TOKEN\n")
    status, said = artifacts.authorized(path, new_token())
    assert status == 401
    assert said.startswith(b"the cluster knows no such token")


def test_a_token_of_a_group_that_may_not_join_is_refused(artifacts: Artifacts, api_server: ApiServer) -> None:
    token = new_token()
    with api_server.client() as api:
        expires = datetime.now(UTC) + timedelta(hours=1)
        api.apply(token_secret(token, expires=expires, description="a test", groups=["system:bootstrappers:others"]))
    sign(api_server, token)
    refusal = (403, b"the API server does not let this token in\n")
    wait_for(lambda: artifacts.authorized(f"/artifacts/{SHA256}", token) == refusal, "the token to be known")


def test_a_token_that_signs_and_does_not_authenticate_is_refused(artifacts: Artifacts, api_server: ApiServer) -> None:
    token = new_token()
    with api_server.client() as api:
        expires = datetime.now(UTC) + timedelta(hours=1)
        api.apply(token_secret(token, expires=expires, description="a test", usages=["signing"]))
    sign(api_server, token)
    refusal = (401, b"the API server does not let this token in\n")
    wait_for(lambda: artifacts.authorized(f"/artifacts/{SHA256}", token) == refusal, "the token to be known")


@pytest.mark.parametrize("path", ["/artifacts/" + "1" * 64, "/artifacts/../../etc/shadow", "/etc/shadow", "/"])
def test_what_is_not_listed_is_not_there(artifacts: Artifacts, path: str) -> None:
    assert artifacts.authorized(path, artifacts.token) == (404, b"this server has no such artifact\n")


def test_an_artifact_that_was_lost_is_said_to_be(artifacts: Artifacts) -> None:
    status, said = artifacts.authorized("/artifacts/" + "0" * 64, artifacts.token)
    assert (status, said) == (404, b"this server has lost it: No such file or directory\n")


def test_a_peer_that_says_nothing_keeps_no_one_waiting(artifacts: Artifacts) -> None:
    with socket.create_connection(("127.0.0.1", artifacts.port)):
        assert artifacts.authorized(f"/artifacts/{SHA256}", artifacts.token)[0] == 200
