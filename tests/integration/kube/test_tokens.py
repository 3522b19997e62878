"""clusterup token, as typed, against a real API server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bootstrap.constants.objects import CONTROL_PLANE
from bootstrap.errors import BadUse, Refused
from bootstrap.inventory.model import Role
from bootstrap.pki.kubeconfig import token_kubeconfig, write_kubeconfig
from bootstrap.pki.token import ca_pin, new_token, parse_token, token_secret
from bootstrap.spec.cluster_objects import base_objects
from bootstrap.tokens.kubelet import give_token, take_tokens_back
from bootstrap.tokens.rbac import token_objects
from tests.helpers.daemons import wait_for
from tests.integration.kube.kubelets import comes_up, says
from tests.integration.kube.operator import Types, refused, types
from tests.integration.kube.servers import ApiServer
from tests.integration.kube.test_kube_client import kubectl

__all__ = ["types"]


def made(types: Types, *arguments: str) -> dict[str, Any]:
    result = types("token", "create", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def listed(types: Types) -> dict[str, dict[str, Any]]:
    return {token["id"]: token for token in json.loads(types("token", "list", "-o", "json").stdout)}


def may(api_server: ApiServer, folder: Path, token: str, *question: str) -> str:
    """What the API server lets a holder of the token do: yes, no, or that it does not know it."""
    url = f"https://127.0.0.1:{api_server.port}"
    write_kubeconfig(folder / "bootstrap", token_kubeconfig("lab", url, api_server.pki.ca.cert_pem, token))
    said = kubectl(api_server, folder / "bootstrap", "auth", "can-i", *question)
    return "unauthorized" if "Unauthorized" in said.stderr else said.stdout.strip()


def test_a_token_lets_a_node_ask_for_a_certificate_until_it_is_revoked(
    api_server: ApiServer, types: Types, tmp_path: Path
) -> None:
    with api_server.client() as client:
        for manifest in (*base_objects(), *token_objects(["s1"])):
            client.apply(manifest)
    token = made(types)["token"]
    assert may(api_server, tmp_path, token, "create", "csr") == "yes"
    assert types("token", "revoke", token).output == f"revoked {parse_token(token).id}\n"
    # The API server remembers for ten seconds whom it has let in.
    wait_for(lambda: may(api_server, tmp_path, token, "create", "csr") == "unauthorized", "the refusal", 30)


def test_the_commands_are_all_that_stands_on_standard_output(api_server: ApiServer, types: Types) -> None:
    result = types("token", "create", "--ttl", "30m")
    ours, kubeadm_s = result.stdout.splitlines()
    pin = ca_pin(api_server.pki.ca.cert_pem)
    assert ours.startswith("clusterup join HOST --server https://10.77.0.11:6443 --token ")
    assert ours.endswith(f" --ca-cert-hash {pin}")
    assert kubeadm_s.startswith("kubeadm join 10.77.0.11:6443 --token ")
    assert kubeadm_s.endswith(f" --discovery-token-ca-cert-hash {pin}")
    assert "good for 1 node, for 30m, until " in result.stderr


def test_a_token_ends_when_it_was_asked_to(types: Types) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    expires = datetime.fromisoformat(made(types, "--ttl", "2d")["expires"])
    assert before + timedelta(days=2) <= expires <= datetime.now(UTC) + timedelta(days=2)


def test_a_token_is_for_one_node_unless_told_otherwise(types: Types) -> None:
    found = [made(types, *options) for options in ((), ("--uses", "3"), ("--uses", "unlimited"), ("--node", "a7"))]
    assert [(token["uses"], token["node"]) for token in found] == [(1, None), (3, None), (None, None), (1, "a7")]
    left = {token_id: (token["left"], token["uses"]) for token_id, token in listed(types).items()}
    assert [left[token["token"][:6]] for token in found] == [(1, 1), (3, 3), (None, None), (1, 1)]
    rows = {line.split()[0]: line for line in types("token", "list").stdout.splitlines()}
    assert "1 of 1" in rows[found[0]["token"][:6]]
    assert " a7 " in rows[found[3]["token"][:6]]


def test_a_token_for_agents_is_made_for_no_server(api_server: ApiServer, types: Types) -> None:
    comes_up(api_server, "server-9", {CONTROL_PLANE: ""})
    before = set(listed(types))
    for name, why in (("s1", "it is a server in the inventory"), ("server-9", "its Node is a server's")):
        error = refused(types("token", "create", "--node", name))
        assert isinstance(error, Refused)
        assert error.got == why
        assert "clusterup apply" in error.hint
    assert set(listed(types)) == before


def test_a_token_that_takes_the_name_of_a_ready_node_is_made_with_a_warning(
    api_server: ApiServer, types: Types
) -> None:
    comes_up(api_server, "a8")
    assert "a8 is a Ready node now" in types("token", "create", "--node", "a8").stderr
    says(api_server, "a8", "Unknown")
    assert "Ready" not in types("token", "create", "--node", "a8").stderr


@pytest.mark.parametrize("ttl", ["0", "0h", "1y", "400d"])
def test_a_time_that_is_none_makes_no_token(types: Types, ttl: str) -> None:
    before = set(listed(types))
    assert isinstance(refused(types("token", "create", "--ttl", ttl)), BadUse)
    assert set(listed(types)) == before


def test_a_list_has_everybody_s_tokens_and_no_secrets(api_server: ApiServer, types: Types) -> None:
    own = parse_token(made(types)["token"])
    over, kubeadm_s = new_token(), new_token()
    with api_server.client() as client:
        of_apply = give_token(client, "s7", Role.AGENT)
        client.apply(token_secret(over, expires=datetime.now(UTC) - timedelta(minutes=1), description="too late"))
        endless = token_secret(kubeadm_s, expires=datetime.now(UTC), description="")
        del endless["data"]["expiration"]
        client.apply(endless)
    text = types("token", "list").stdout
    rows = {line.split()[0]: line.split() for line in text.splitlines()}
    assert rows[own.id][1] == "agent"
    assert rows[over.id][1:3] == ["agent", "EXPIRED"]
    assert rows[kubeadm_s.id][2] == "never"
    assert (rows[of_apply.id][1], rows[of_apply.id][4]) == ("apply", "s7")
    assert listed(types)[over.id]["expired"]
    everything = text + types("token", "list", "-o", "json").stdout
    assert not [token.id for token in (own, over, kubeadm_s, of_apply) if token.secret in everything]
    with api_server.client() as client:
        take_tokens_back(client, "s7")


def test_several_are_revoked_at_once_and_one_that_is_not_there_is_named(types: Types) -> None:
    ids = [parse_token(made(types)["token"]).id for _ in range(2)]
    result = types("token", "revoke", *ids, "nosuch")
    assert result.stdout == "".join(f"revoked {token_id}\n" for token_id in ids)
    assert "there is no token nosuch" in refused(result).problem
    assert not set(ids) & set(listed(types))
