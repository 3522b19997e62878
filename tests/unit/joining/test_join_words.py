"""What a person types to join a machine."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import BadUse
from bootstrap.joining.arguments import VARIABLE, given_token, machine_of
from bootstrap.joining.node import JoiningMachine
from bootstrap.transport.target import place_of

TOKEN = "abcdef.0123456789abcdef"


def machine(host: str, **given: Any) -> JoiningMachine:
    wishes: dict[str, Any] = {"name": None, "address": None, "disk": None, "labels": (), "taints": (), **given}
    ssh = wishes.pop("ssh", {})
    return machine_of(place_of(host), ssh, **wishes)


def test_a_token_comes_from_the_command_line_a_file_the_environment_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    assert given_token(TOKEN, None).reveal() == TOKEN
    assert given_token(None, file).reveal() == TOKEN
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    assert given_token("-", None).reveal() == TOKEN
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert given_token(None, None).reveal() == TOKEN


def test_two_tokens_or_none_are_bad_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(BadUse, match="two tokens"):
        given_token(TOKEN, tmp_path / "token")
    with pytest.raises(BadUse, match="no token was given") as refused:
        given_token(None, None)
    assert "--token-file" in refused.value.hint
    assert VARIABLE in refused.value.hint


def test_a_token_that_others_can_read_or_that_is_none_is_refused_and_never_repeated(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    with pytest.raises(BadUse, match="anyone may read it"):
        given_token(None, file)
    with pytest.raises(BadUse, match="token") as refused:
        given_token("abcdef.0123456789abcde!", None)
    assert "0123456789" not in str(refused.value)


def test_a_machine_is_named_by_its_host_name_and_reached_at_the_address_it_is_given_by() -> None:
    found = machine("10.77.0.31", name="j1")
    assert (found.name, str(found.address), found.ssh.host) == ("j1", "10.77.0.31", "10.77.0.31")
    other = machine("J2.example.org", address="10.77.0.32", ssh={"user": "admin", "port": 2222})
    assert (other.name, str(other.address)) == ("j2", "10.77.0.32")
    assert (other.ssh.host, other.ssh.user, other.ssh.port) == ("J2.example.org", "admin", 2222)


def test_what_is_left_open_is_asked_for_with_its_option() -> None:
    with pytest.raises(BadUse, match="needs a name") as no_name:
        machine("10.77.0.31")
    assert "--name" in no_name.value.hint
    with pytest.raises(BadUse, match="under which address") as no_address:
        machine("127.0.0.1", name="j1")
    assert "--address" in no_address.value.hint


def test_labels_and_taints_are_those_of_an_inventory() -> None:
    found = machine("10.77.0.31", name="j1", labels=["disk=ssd", "rack="], taints=["gpu=a:NoSchedule", "new:NoExecute"])
    assert found.labels == {"disk": "ssd", "rack": ""}
    assert [(taint.key, taint.value, taint.effect) for taint in found.taints] == [
        ("gpu", "a", "NoSchedule"),
        ("new", "", "NoExecute"),
    ]


def test_network_cards_are_told_where_dhcp_does_not_do() -> None:
    cards = ["52:54:00:00:00:01=10.77.0.31/24,10.77.0.1", "52:54:00:00:00:02=dhcp"]
    fixed, other = machine("10.77.0.31", name="j1", interfaces=cards).interfaces
    assert ([str(each) for each in fixed.addresses], str(fixed.gateway), fixed.dhcp) == (
        ["10.77.0.31/24"],
        "10.77.0.1",
        False,
    )
    assert (other.mac, other.dhcp, other.addresses) == ("52:54:00:00:00:02", True, ())


@pytest.mark.parametrize(
    "given",
    [
        {"name": "j1", "interfaces": ["eth0=dhcp"]},
        {"name": "j1", "interfaces": ["52:54:00:00:00:01=10.77.0"]},
        {"name": "Not_A_Name"},
        {"name": "j1", "address": "10.77.0"},
        {"name": "j1", "labels": ["a b=c"]},
        {"name": "j1", "labels": ["node-role.kubernetes.io/worker="]},
        {"name": "j1", "taints": ["gpu"]},
        {"name": "j1", "taints": ["gpu:Sometimes"]},
        {"name": "j1", "ssh": {"password_from": "secret"}},
        {"name": "localhost"},
        {"name": "j1", "disk": "sda"},
        {"name": "j1", "address": "127.0.0.1"},
        {"name": "j1", "labels": ["a=b\nc"]},
        {"name": "j1", "ssh": {"user": "a\nb"}},
    ],
)
def test_what_no_node_can_have_is_bad_use(given: dict[str, Any]) -> None:
    with pytest.raises(BadUse):
        machine("10.77.0.31", **given)


def test_what_is_wrong_is_said_as_an_inventory_s_problems_are_and_no_secret_is_repeated() -> None:
    with pytest.raises(BadUse) as refused:
        machine("10.77.0.31", name="j1", disk="sda", ssh={"password_from": "hunter2"})
    said = str(refused.value)
    assert "disk: found 'sda'; allowed: a path below /dev" in said
    assert "ssh.password_from: found a text that is not shown here; allowed: env:NAME, file:PATH or prompt" in said
    assert "hunter2" not in said
    assert "nodes.0" not in said
