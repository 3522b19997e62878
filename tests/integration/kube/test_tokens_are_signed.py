"""clusterup token create waits for the signature without which no one can join: after the server that held
kube-controller-manager's lease has left, another one takes over only some seconds later."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest

from bootstrap.inventory.load import load_inventory
from bootstrap.joining.discovery import discover
from bootstrap.operations import create_token as tokens
from bootstrap.pki.token import parse_token
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.spec.cluster_objects import cluster_objects
from tests.helpers.daemons import wait_for
from tests.integration.kube.operator import Types, typing
from tests.integration.kube.servers import ApiServer, running_controllers


@pytest.fixture
def unsigned(api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Types:
    """Types in a cluster that describes itself to everybody, and in which no controllers run."""
    types = typing(api_server, tmp_path, monkeypatch)
    url, inventory = f"https://127.0.0.1:{api_server.port}", load_inventory(tmp_path / "inventory.yaml")
    with api_server.client() as client:
        for manifest in cluster_objects(url, api_server.pki.ca.cert_pem, inventory, "1.20.2"):
            client.apply(manifest)
    monkeypatch.setattr(tokens, "SIGNED_SOON", 0.0)
    return types


def tokens_of(api_server: ApiServer) -> set[str]:
    """The names of the tokens' Secrets that the cluster has."""
    with api_server.client() as client:
        found = {each["metadata"]["name"] for each in client.list("Secret", "kube-system")}
    return {name for name in found if name.startswith("bootstrap-token-")}


def test_a_token_is_printed_once_it_can_be_joined_with(
    api_server: ApiServer, unsigned: Types, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before, said = tokens_of(api_server), []
    typed = threading.Thread(target=lambda: said.append(unsigned("token", "create", "-o", "json")))
    typed.start()
    wait_for(lambda: bool(tokens_of(api_server) - before), "the token's Secret")
    with running_controllers(api_server, tmp_path_factory.mktemp("late")):
        typed.join(120)
        (result,) = said
        assert result.exit_code == 0, result.output
        assert "waiting for kube-controller-manager" in result.stderr
        made = json.loads(result.stdout)
        server = ServerUrl("127.0.0.1", api_server.port)
        discover(server, parse_token(made["token"]), frozenset({made["ca_cert_hash"]}), patience=0.0)


def test_a_token_that_no_one_signs_is_printed_with_what_to_look_at(
    unsigned: Types, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "SIGNED_SECONDS", 0.0)
    result = unsigned("token", "create", "-o", "json")
    assert result.exit_code == 0, result.output
    token_id = json.loads(result.stdout)["token"][:6]
    assert f"token {token_id} is there, and that it can be joined with was not seen" in result.stderr
    assert "journalctl -u kube-controller-manager" in result.stderr


def test_a_cluster_without_a_description_is_said_at_once(api_server: ApiServer, unsigned: Types) -> None:
    with api_server.client() as client:
        client.delete("ConfigMap", "cluster-info", "kube-public")
    result = unsigned("token", "create")
    assert result.exit_code == 0, result.output
    assert "the cluster has no description for nodes that join" in result.stderr


def test_ctrl_c_while_waiting_leaves_no_token_that_no_one_has_seen(
    api_server: ApiServer, unsigned: Types, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seen = tokens_of(api_server), set[str]()

    def presses(_: str, **__: object) -> None:
        """A person who is told that it waits, and does not want to."""
        seen.update(tokens_of(api_server) - before)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("bootstrap.cli.token.typer.echo", presses)
    result = unsigned("token", "create")
    assert result.exit_code != 0
    assert len(seen) == 1
    assert tokens_of(api_server) == before
