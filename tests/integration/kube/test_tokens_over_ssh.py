"""clusterup token where the endpoint does not answer: the API is reached through a server, over a real sshd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.daemons import free_ports
from tests.integration.kube.operator import Types, refused, types
from tests.integration.kube.servers import ApiServer
from tests.integration.transport.conftest import Server, sshd, start_sshd

__all__ = ["sshd", "start_sshd", "types"]


@pytest.fixture
def endpoint(types: Types, sshd: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The inventory names an endpoint where no one listens, and the way into its server."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    inventory = Path("inventory.yaml")
    document = json.loads(inventory.read_text())
    document["cluster"]["endpoint"] = f"127.0.0.1:{free_ports(1)[0]}"
    document["nodes"][0]["ssh"] = {
        "host": "127.0.0.1",
        "port": sshd.port,
        "user": "root",
        "key": str(sshd.key),
        "use_config": False,
        "host_key": sshd.host_key,
    }
    inventory.write_text(json.dumps(document))
    return str(document["cluster"]["endpoint"])


def test_tokens_are_made_through_a_server_that_is_reached_over_ssh(
    api_server: ApiServer, types: Types, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.clients.tunnel.API_PORT", api_server.port)
    result = types("token", "create", "-o", "json")
    assert result.exit_code == 0, result.output
    assert f"the API does not answer at {endpoint}: asking the servers over SSH" in result.stderr
    token_id = json.loads(result.stdout)["token"][:6]
    assert types("token", "revoke", token_id).stdout == f"revoked {token_id}\n"


def test_where_no_server_has_an_api_server_that_is_said(
    types: Types, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.clients.tunnel.API_PORT", free_ports(1)[0])
    monkeypatch.setattr("bootstrap.operations.clients.ANSWER_SECONDS", 0.0)
    failed = refused(types("token", "list"))
    assert failed.problem == "waited 0 s in vain for an API server that answers"
    assert failed.got == "no API server answers (s1: not ready)"
