"""A server's token against a real API server: what it opens, to whom, and until when."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.operations.create_token import create_token, wish_of
from bootstrap.operations.reading import intent_of_file
from bootstrap.pki.sealed import unseal
from bootstrap.pki.token import parse_token
from bootstrap.spec.cluster_objects import cluster_objects
from bootstrap.state.handover import parse_handover
from bootstrap.tokens.server import HANDOVER_KEY, claim_server_token, server_secret_name
from tests.helpers.daemons import wait_for
from tests.helpers.worlds import inventory
from tests.integration.kube.operator import Types, refused, types
from tests.integration.kube.servers import ApiServer
from tests.integration.kube.test_kube_client import kubectl
from tests.integration.kube.test_tokens import listed, made, may

__all__ = ["types"]
KINDS = ("Secret", "Role", "RoleBinding")


@pytest.fixture
def client(api_server: ApiServer) -> Iterator[KubeClient]:
    with api_server.client() as client:
        url = f"https://127.0.0.1:{api_server.port}"
        for manifest in cluster_objects(url, api_server.pki.ca.cert_pem, inventory(), "1.20.2"):
            client.apply(manifest)
        yield client


def opened(client: KubeClient, token_id: str) -> list[str]:
    """What there is of what a server's token opens."""
    return [kind for kind in KINDS if client.get(kind, server_secret_name(token_id), "kube-system") is not None]


def read_with(api_server: ApiServer, folder: Path, token: str, *arguments: str) -> Any:
    """What kubectl gets with the token; None where it is refused."""
    may(api_server, folder, token, "get", "secrets")  # writes the kubeconfig
    said = kubectl(api_server, folder / "bootstrap", "get", "-o", "json", *arguments)
    return json.loads(said.stdout) if said.returncode == 0 else None


def test_its_holder_gets_the_handover_file_and_no_one_else_s(
    api_server: ApiServer, client: KubeClient, types: Types, tmp_path: Path
) -> None:
    token, other = (made(types, "--role", "server")["token"] for _ in range(2))
    intent = intent_of_file(Path("inventory.yaml"), None)
    name = server_secret_name(parse_token(token).id)
    secret = read_with(api_server, tmp_path, token, "-n", "kube-system", "secret", name)
    content = unseal(base64.b64decode(secret["data"][HANDOVER_KEY]), parse_token(token))
    assert parse_handover(content, node="s1").parts["pki/ca.key"] == api_server.pki.ca.key_pem
    assert intent.nodes["s1"].handover is not None
    assert content == intent.nodes["s1"].handover.content
    assert read_with(api_server, tmp_path, other, "-n", "kube-system", "secret", name) is None
    agent_s = made(types)["token"]
    assert read_with(api_server, tmp_path, agent_s, "-n", "kube-system", "secret", name) is None


def test_its_holder_may_do_nothing_but_that_and_read_what_the_cluster_is(
    api_server: ApiServer, client: KubeClient, types: Types, tmp_path: Path
) -> None:
    token = made(types, "--role", "server")["token"]
    assert may(api_server, tmp_path, token, "create", "csr") == "no"
    assert may(api_server, tmp_path, token, "list", "secrets", "-n", "kube-system") == "no"
    assert may(api_server, tmp_path, token, "get", "nodes") == "no"
    bootstrap = f"secret/bootstrap-token-{parse_token(token).id}"
    assert may(api_server, tmp_path, token, "get", bootstrap, "-n", "kube-system") == "no"
    own = f"secret/{server_secret_name(parse_token(token).id)}"
    assert may(api_server, tmp_path, token, "get", own, "-n", "kube-system") == "yes"
    assert may(api_server, tmp_path, token, "update", own, "-n", "kube-system") == "no"
    assert read_with(api_server, tmp_path, token, "-n", "kube-public", "configmap", "cluster-info") is not None


def test_nothing_of_the_cluster_s_keys_stands_in_the_secret_in_clear(
    api_server: ApiServer, client: KubeClient, types: Types
) -> None:
    token = made(types, "--role", "server")["token"]
    secret = client.get("Secret", server_secret_name(parse_token(token).id), "kube-system")
    assert secret is not None
    assert b"PRIVATE KEY" not in base64.b64decode(secret["data"][HANDOVER_KEY])


def test_it_is_listed_as_a_server_s_and_revoking_it_takes_everything_away(client: KubeClient, types: Types) -> None:
    token_id = parse_token(made(types, "--role", "server")["token"]).id
    row = listed(types)[token_id]
    assert (row["role"], row["uses"], row["used"]) == ("server", 1, 0)
    assert opened(client, token_id) == [*KINDS]
    assert types("token", "revoke", token_id).exit_code == 0
    assert opened(client, token_id) == []


def test_what_is_left_of_one_whose_bootstrap_secret_is_gone_is_revoked_too(client: KubeClient, types: Types) -> None:
    token_id = parse_token(made(types, "--role", "server")["token"]).id
    client.delete("Secret", f"bootstrap-token-{token_id}", "kube-system")
    assert types("token", "revoke", token_id).exit_code == 0
    assert opened(client, token_id) == []


def test_when_it_is_over_the_cluster_takes_everything_away_by_itself(
    client: KubeClient, types: Types, controllers: None
) -> None:
    token_id = parse_token(made(types, "--role", "server")["token"]).id
    past = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    over = {"data": {"expiration": base64.b64encode(past.encode()).decode()}}
    client.merge("Secret", f"bootstrap-token-{token_id}", over, "kube-system")
    wait_for(lambda: token_id not in listed(types), "the token cleaner", 120)
    wait_for(lambda: opened(client, token_id) == [], "the garbage collector", 120)


def test_of_two_that_use_it_one_is_refused(client: KubeClient, types: Types) -> None:
    token_id = parse_token(made(types, "--role", "server")["token"]).id
    claim_server_token(client, token_id)
    assert opened(client, token_id) == []
    with pytest.raises(Refused, match="used by somebody else"):
        claim_server_token(client, token_id)


def test_nothing_stays_of_one_that_could_not_be_made(
    client: KubeClient, types: Types, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent = intent_of_file(Path("inventory.yaml"), None)
    before = set(listed(types))
    monkeypatch.setattr("bootstrap.tokens.server.LARGEST", 100)
    with pytest.raises(ClusterupError, match="too large") as failed:
        create_token(client, wish_of(ttl=None, role="server"), intent)
    assert "clusterup apply" in failed.value.hint
    assert set(listed(types)) == before


def test_it_lives_for_an_hour_at_most(types: Types) -> None:
    assert isinstance(refused(types("token", "create", "--role", "server", "--ttl", "61m")), BadUse)


def test_of_an_agent_s_token_no_server_comes_about(client: KubeClient, types: Types) -> None:
    assert opened(client, parse_token(made(types)["token"]).id) == []
