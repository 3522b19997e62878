"""The way to a node: what the target says, then the SSH configuration as OpenSSH reads it, then defaults."""

from __future__ import annotations

import getpass
import subprocess
from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.transport.ssh_config import openssh
from bootstrap.transport.ssh_config.route import route
from bootstrap.transport.target import Hop, SshTarget


def written(tmp_path: Path, config: str) -> Path:
    file = tmp_path / "config"
    file.write_text(config)
    return file


def hops(tmp_path: Path, config: str, host: str = "machine") -> list[str]:
    return [hop.address for hop in route(SshTarget("node1", host, config_file=written(tmp_path, config)))]


def last(tmp_path: Path, config: str, **more: object) -> Hop:
    return route(SshTarget("node1", "machine", config_file=written(tmp_path, config), **more))[-1]  # type: ignore[arg-type]


def test_defaults_are_root_on_the_node_and_oneself_on_jump_hosts(tmp_path: Path) -> None:
    assert hops(tmp_path, "") == ["root@machine:22"]
    assert hops(tmp_path, "Host machine\n ProxyJump gate\n") == [f"{getpass.getuser()}@gate:22", "root@machine:22"]


def test_one_s_own_name_counts_where_the_configuration_says_it(tmp_path: Path) -> None:
    assert hops(tmp_path, f"User {getpass.getuser()}\n") == [f"{getpass.getuser()}@machine:22"]


def test_a_list_of_jump_hosts_in_every_form(tmp_path: Path) -> None:
    config = "Host machine\n ProxyJump a@one:2201,ssh://b@two,c@[fd00::1]:2203\n"
    assert hops(tmp_path, config) == ["a@one:2201", "b@two:22", "c@[fd00::1]:2203", "root@machine:22"]


def test_the_first_jump_host_may_have_one_of_its_own(tmp_path: Path) -> None:
    config = "Host *\n User ops\nHost machine\n ProxyJump inner\nHost inner\n HostName 10.0.0.1\n ProxyJump outer\n"
    assert hops(tmp_path, config) == ["ops@outer:22", "ops@10.0.0.1:22", "ops@machine:22"]


@pytest.mark.parametrize("said", ["ProxyJump none", "ProxyCommand none"])
def test_none_stands_for_no_jump_host(tmp_path: Path, said: str) -> None:
    assert hops(tmp_path, f"Host machine\n {said}\nHost *\n ProxyJump gate\n") == ["root@machine:22"]


def test_jump_hosts_are_pinned_by_where_they_are_and_errors_name_the_node(tmp_path: Path) -> None:
    jump = SshTarget("node1", "gate", port=2222, use_config=False)
    way = route(SshTarget("node1", "machine", jumps=(jump,), use_config=False))
    assert [hop.pin_name for hop in way] == ["jump:gate:2222", "node1"]
    assert {hop.node for hop in way} == {"node1"}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("Host machine\n Port many\n", "line 2: Bad port 'many'"),
        ("Host machine\n ProxyJump a:b:c\n", 'line 2: Invalid ProxyJump "a:b:c"'),
        ("Host machine\n Port\n", 'line 2: no argument after keyword "port"'),
        ("Host machine\n ProxyJump machine\n", "jumphost loop via machine"),
        ("Host machine\n Nonsense yes\n", "Bad configuration option: nonsense"),
        ("Host machine\n ProxyCommand nc %h %p\n", "it sets ProxyCommand, which is not supported"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_file(tmp_path: Path, config: str, reason: str) -> None:
    with pytest.raises(BadUse, match=reason) as failed:
        hops(tmp_path, config)
    assert str(tmp_path / "config") in str(failed.value)
    assert "use_config" in failed.value.hint


def test_lines_after_an_include_keep_their_scope_and_those_in_it_stay_in_its_block(tmp_path: Path) -> None:
    (tmp_path / "a file.conf").write_text("Host *\n User inside\n")
    config = f'Host other\n Include "{tmp_path}/a file.conf"\n Port 1\nHost machine\n Port 2\n'
    assert hops(tmp_path, config) == ["root@machine:2"]
    assert hops(tmp_path, config, "other") == ["inside@other:1"]


def test_matches_are_judged_and_those_of_others_keep_no_one_out(tmp_path: Path) -> None:
    assert hops(tmp_path, "Match exec true\n Port 1\n") == ["root@machine:1"]
    assert hops(tmp_path, "Match originalhost other exec false\n Port 1\n") == ["root@machine:22"]
    assert hops(tmp_path, "Match user ops\n Port 1\n") == ["root@machine:22"]
    assert last(tmp_path, "Match user ops\n Port 1\n", user="ops").port == 1


def test_a_match_that_openssh_does_not_know_is_never_taken_as_true(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="Unsupported Match attribute"):
        hops(tmp_path, "Match weather sunny\n Port 1\n")


def test_a_configuration_that_says_nothing_of_hosts_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    assert hops(tmp_path, "Host *\n Compression yes\n") == [f"{getpass.getuser()}@machine:22"]
    assert hops(tmp_path, "Host *\n Compression yes\n Port 2200\n") == [f"{getpass.getuser()}@machine:2200"]


def test_comments_after_values_and_bytes_of_another_encoding_hurt_no_one(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_bytes(b"# caf\xe9\nHost machine # mine\n Port 2200 # the usual one\n")
    assert [hop.address for hop in route(SshTarget("node1", "machine", config_file=file))] == ["root@machine:2200"]


def test_keys_are_named_in_their_order_and_tokens_are_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYS", "/keys")
    config = 'IdentityFile "/a b/%h"\nIdentityFile ${KEYS}/%r@%n-%p\nIdentityFile none\nIdentitiesOnly yes\n'
    hop = last(tmp_path, f"Host machine\n HostName 10.0.0.1\n Port 2200\n{config}", user="ops")
    assert hop.keys == (Path("/a b/10.0.0.1"), Path("/keys/ops@machine-2200"))
    assert hop.only_keys


def test_without_a_key_that_is_named_none_is(tmp_path: Path) -> None:
    assert last(tmp_path, "Port 2200\n").keys == ()


@pytest.mark.parametrize(
    ("said", "agent", "socket"),
    [
        ("none", False, None),
        ("SSH_AUTH_SOCK", True, None),
        ("/run/%u.sock", True, f"/run/{getpass.getuser()}.sock"),
        ("$OTHER", True, "/run/other"),
        ("$NOT_THERE", False, None),
    ],
)
def test_the_agent_may_be_another_one_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, agent: bool, socket: str | None
) -> None:
    monkeypatch.setenv("OTHER", "/run/other")
    hop = last(tmp_path, f"IdentityAgent {said}\n")
    assert (hop.agent, hop.agent_socket) == (agent, socket)


def test_what_counts_for_nothing_here_is_known_by_name(tmp_path: Path) -> None:
    hop = last(tmp_path, "CertificateFile /keys/x-cert.pub\nBindAddress 192.0.2.1\n")
    assert hop.unused == ("BindAddress", "CertificateFile")


def test_ssh_is_not_started_for_what_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("started"))
    monkeypatch.setattr(openssh, "SYSTEM_CONFIG", tmp_path / "none")
    (tmp_path / "more").write_text("# nothing\n\n")
    config = f"# mine\nInclude {tmp_path}/more\nHost *\n SendEnv LANG LC_*\n HashKnownHosts yes\n  ForwardAgent=no\n"
    assert hops(tmp_path, config) == ["root@machine:22"]


def test_where_there_is_no_ssh_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadUse, match="install OpenSSH's client"):
        hops(tmp_path, "Port 2200\n")
    (hop,) = route(SshTarget("node1", "machine", config_file=tmp_path / "none"))
    assert hop.address == "root@machine:22"
