"""A server's token as somebody meets it who joins with it, against a real API server: read, unsealed, and used up."""

from __future__ import annotations

import base64
import dataclasses
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootstrap.adopt.fetch import HandedOver
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.engine.lock import Patience
from bootstrap.errors import ClusterupError, Refused
from bootstrap.inventory.model import Ssh
from bootstrap.joining.discovery import Discovered, discover
from bootstrap.joining.node import JoiningMachine, token_client
from bootstrap.joining.server import Prospect, claim, keep, opened_with, prospect_of, state_to_look_with, used_here
from bootstrap.operations.reading import intent_of_file
from bootstrap.pki.sealed import seal
from bootstrap.pki.token import ca_pin, new_token, parse_token
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.token import Token
from bootstrap.spec.cluster_objects import cluster_objects
from bootstrap.state.credentials import OperatorKeys, operator_keys
from bootstrap.state.handover import handover_file
from bootstrap.tokens.server import HANDOVER_KEY, server_secret_name
from tests.helpers.daemons import wait_for
from tests.helpers.worlds import inventory
from tests.integration.kube.operator import Types, types
from tests.integration.kube.servers import ApiServer
from tests.integration.kube.test_tokens import listed, made

__all__ = ["types"]
MACHINE = JoiningMachine("s2", IPv4Address("10.77.0.12"), Ssh(host="10.77.0.12"), "/dev/vda")


@pytest.fixture(autouse=True)
def client(api_server: ApiServer, controllers: None) -> Iterator[KubeClient]:
    with api_server.client() as client:
        url = f"https://127.0.0.1:{api_server.port}"
        for manifest in cluster_objects(url, api_server.pki.ca.cert_pem, inventory(), "1.20.2"):
            client.apply(manifest)
        yield client


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Whoever joins has nothing of the cluster; what is typed before is the operator's."""
    (tmp_path / "elsewhere").mkdir()
    return monkeypatch


def server_s(types: Types) -> Token:
    return parse_token(made(types, "--role", "server")["token"])


def discovered(api_server: ApiServer, token: Token, patience: float = 30) -> Discovered:
    pins = frozenset({ca_pin(api_server.pki.ca.cert_pem)})
    return discover(ServerUrl("127.0.0.1", api_server.port), token, pins, patience=patience)


def opened(api_server: ApiServer, token: Token) -> HandedOver:
    cluster = discovered(api_server, token)
    # A role that was just made is known a moment later.
    wait_for(lambda: opened_with(cluster, token) is not None, "the role to be known")
    found = opened_with(cluster, token)
    assert found is not None
    return found


def joins(
    token: Token, found: HandedOver, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Prospect, OperatorKeys]:
    """Somebody who has nothing else joins with what the token opened: what they have in hand before it is used up."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "elsewhere" / "state"))
    prospect = prospect_of(token.id, found, MACHINE, folder / "elsewhere" / "lab.yaml")
    with state_to_look_with(prospect, Patience()) as state:
        return prospect, operator_keys(state)


def test_its_holder_reads_what_the_operator_has_and_does_not_use_it_up(api_server: ApiServer, types: Types) -> None:
    token = server_s(types)
    found = opened(api_server, token)
    file = intent_of_file(Path("inventory.yaml"), None).nodes["s1"].handover
    assert file is not None
    assert found.sha256 == file.sha256
    assert handover_file(found.handover).content == file.content
    assert token.id in listed(types)


def test_an_agent_s_token_opens_nothing_and_is_good_for_agents_whatever_becomes_of_a_server_s(
    api_server: ApiServer, types: Types, tmp_path: Path, elsewhere: pytest.MonkeyPatch, client: KubeClient
) -> None:
    agent_s, token = parse_token(made(types)["token"]), server_s(types)
    assert opened_with(discovered(api_server, agent_s), agent_s) is None
    prospect, keys = joins(token, opened(api_server, token), tmp_path, elsewhere)
    claim(prospect, discovered(api_server, token), keys)
    cluster = discovered(api_server, agent_s)
    assert opened_with(cluster, agent_s) is None
    assert client.get("Secret", f"bootstrap-token-{agent_s.id}", "kube-system") is not None
    with token_client(cluster, agent_s) as api:
        assert api.get("Node", "nobody") is None


def test_with_the_keys_that_it_opened_it_is_used_up_and_a_second_time_it_is_refused(
    api_server: ApiServer, types: Types, tmp_path: Path, elsewhere: pytest.MonkeyPatch, client: KubeClient
) -> None:
    token = server_s(types)
    cluster = discovered(api_server, token)
    prospect, keys = joins(token, opened(api_server, token), tmp_path, elsewhere)
    claim(prospect, cluster, keys)
    for name in (f"bootstrap-token-{token.id}", server_secret_name(token.id)):
        assert client.get("Secret", name, "kube-system") is None
    with pytest.raises(Refused, match="used by somebody else just now"):
        claim(prospect, cluster, keys)

    def unknown() -> bool:
        try:
            discovered(api_server, token, patience=0)
        except Refused as refused:
            return "is used up" in refused.problem
        return False

    wait_for(unknown, "the signature to be taken away")
    with state_to_look_with(prospect, Patience()) as state:
        keep(prospect, state)
    said = used_here(token.id)
    assert said is not None
    assert f"clusterup apply {prospect.place} goes on" in said.hint


def test_of_many_that_come_with_it_at_once_one_gets_past(
    api_server: ApiServer, types: Types, tmp_path: Path, elsewhere: pytest.MonkeyPatch
) -> None:
    token = server_s(types)
    cluster = discovered(api_server, token)
    prospect, keys = joins(token, opened(api_server, token), tmp_path, elsewhere)
    together, came = threading.Barrier(4), list[str]()

    def comes() -> None:
        together.wait()
        try:
            claim(prospect, cluster, keys)
            came.append("past")
        except Refused:
            came.append("refused")

    everybody = [threading.Thread(target=comes) for _ in range(4)]
    for thread in everybody:
        thread.start()
    for thread in everybody:
        thread.join()
    assert sorted(came) == ["past", "refused", "refused", "refused"]


def test_a_file_that_is_somebody_s_is_found_before_the_token_is_used_up(
    api_server: ApiServer, types: Types, tmp_path: Path, elsewhere: pytest.MonkeyPatch, client: KubeClient
) -> None:
    token = server_s(types)
    cluster = discovered(api_server, token)
    prospect, keys = joins(token, opened(api_server, token), tmp_path, elsewhere)
    prospect.place.write_text("mine: true\n")
    with pytest.raises(Refused, match="is not what was applied last"):
        claim(prospect, cluster, keys)
    nowhere = dataclasses.replace(prospect, place=tmp_path / "no" / "folder" / "lab.yaml")
    with pytest.raises(Refused, match="can't be written"):
        claim(nowhere, cluster, keys)
    assert client.get("Secret", f"bootstrap-token-{token.id}", "kube-system") is not None


def test_what_was_sealed_for_another_token_is_not_believed(
    api_server: ApiServer, types: Types, client: KubeClient
) -> None:
    token = server_s(types)
    opened(api_server, token)
    forged = base64.b64encode(seal(b"{}", new_token())).decode()
    client.merge("Secret", server_secret_name(token.id), {"data": {HANDOVER_KEY: forged}}, "kube-system")
    with pytest.raises(ClusterupError, match="can't be read") as refused:
        opened_with(discovered(api_server, token), token)
    assert token.secret not in str(refused.value)
