"""The way to a node: what the target says, then the SSH configuration, then defaults."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.transport.sshconfig import route
from bootstrap.transport.target import SshTarget


def hops(tmp_path: Path, config: str, host: str = "machine") -> list[str]:
    file = tmp_path / "config"
    file.write_text(config)
    return [hop.address for hop in route(SshTarget("node1", host, config_file=file))]


def test_defaults_are_root_on_the_node_and_oneself_on_jump_hosts(tmp_path: Path) -> None:
    assert hops(tmp_path, "") == ["root@machine:22"]
    assert hops(tmp_path, "Host machine\n ProxyJump gate\n") == [f"{getpass.getuser()}@gate:22", "root@machine:22"]


def test_a_list_of_jump_hosts_in_every_form(tmp_path: Path) -> None:
    config = "Host machine\n ProxyJump a@one:2201,ssh://b@two, c@[fd00::1]:2203\n"
    assert hops(tmp_path, config) == ["a@one:2201", "b@two:22", "c@[fd00::1]:2203", "root@machine:22"]


def test_the_first_jump_host_may_have_one_of_its_own(tmp_path: Path) -> None:
    config = "Host *\n User ops\nHost machine\n ProxyJump inner\nHost inner\n HostName 10.0.0.1\n ProxyJump outer\n"
    assert hops(tmp_path, config) == ["ops@outer:22", "ops@10.0.0.1:22", "ops@machine:22"]


def test_none_stands_for_no_jump_host(tmp_path: Path) -> None:
    assert hops(tmp_path, "Host machine\n ProxyJump none\nHost *\n ProxyJump gate\n") == ["root@machine:22"]


def test_jump_hosts_are_pinned_by_where_they_are_and_errors_name_the_node(tmp_path: Path) -> None:
    jump = SshTarget("node1", "gate", port=2222, use_config=False)
    way = route(SshTarget("node1", "machine", jumps=(jump,), use_config=False))
    assert [hop.pin_name for hop in way] == ["jump:gate:2222", "node1"]
    assert {hop.node for hop in way} == {"node1"}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("Host machine\n Port many\n", "Port many is not a port number"),
        ("Host machine\n ProxyJump a:b:c\n", "not of the form"),
        ("Host machine\n Port\n", "Unparsable line"),
        ("Host machine\n ProxyJump machine\n", "in a circle"),
        ("Match exec true\n Port 1\n", "Match exec"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_file(tmp_path: Path, config: str, reason: str) -> None:
    with pytest.raises(BadUse, match=reason) as failed:
        hops(tmp_path, config)
    assert str(tmp_path / "config") in str(failed.value)
    assert "use_config" in failed.value.hint


def test_identities_only_and_included_files_count(tmp_path: Path) -> None:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d" / "10-lab").write_text("Host machine\n IdentityFile /keys/lab\n IdentitiesOnly yes\n")
    (tmp_path / "config").write_text("Include config.d/*\n")
    (hop,) = route(SshTarget("node1", "machine", config_file=tmp_path / "config"))
    assert hop.keys == (Path("/keys/lab"),)
    assert hop.only_keys
