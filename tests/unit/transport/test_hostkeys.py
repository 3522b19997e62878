"""Pinned host keys: kept, replaced whole, safe between threads, refused when they are not keys."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.transport.connect import preferred_ciphers, preferred_key_types
from bootstrap.transport.hostkeys import HostKeys


def test_a_pinned_key_is_there_for_the_next_run_without_its_comment(tmp_path: Path) -> None:
    key = new_ssh_key().public
    path = tmp_path / "new" / "hosts.json"
    HostKeys(path).pin("node1", "live", f"{key} root@node1\n")
    assert HostKeys(path).pinned("node1") == {"live": key}
    assert HostKeys(path).pinned("node2") == {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_key_replaces_that_of_its_kind_and_forgetting_leaves_the_other(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "hosts.json")
    first, second, third = (new_ssh_key().public for _ in range(3))
    keys.pin("node1", "live", first)
    keys.pin("node1", "installed", second)
    keys.pin("node1", "live", third)
    assert keys.pinned("node1") == {"live": third, "installed": second}
    keys.forget("node1", "live")
    keys.forget("node1", "live")
    keys.forget("node9", "live")
    assert keys.pinned("node1") == {"installed": second}
    keys.forget("node1", "installed")
    assert json.loads(keys.path.read_text()) == {}


def test_what_somebody_else_pins_is_seen_at_once(tmp_path: Path) -> None:
    first, second = new_ssh_key().public, new_ssh_key().public
    mine, theirs = HostKeys(tmp_path / "hosts.json"), HostKeys(tmp_path / "hosts.json")
    mine.pin("node1", "live", first)
    assert mine.pinned("node1") == {"live": first}
    theirs.pin("node1", "live", second)
    assert mine.pinned("node1") == {"live": second}


def test_changing_what_was_answered_pins_nothing(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "hosts.json")
    keys.pin("node1", "live", key := new_ssh_key().public)
    keys.all_pinned()["node1"]["live"] = "another"
    keys.pinned("node1").clear()
    assert keys.pinned("node1") == {"live": key}


def test_pins_from_many_threads_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    key = new_ssh_key().public
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: HostKeys(path).pin(f"node{number}", "live", key), range(40)))
    assert len(json.loads(path.read_text())) == 40


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 ????", "ssh-ed25519 AAAAB3NzaC1yc2E=", "SHA256:abc"])
def test_what_is_no_public_key_is_not_pinned(tmp_path: Path, line: str) -> None:
    keys = HostKeys(tmp_path / "hosts.json")
    with pytest.raises(BadUse, match="not a public host key"):
        keys.pin("node1", "live", line)
    assert keys.pinned("node1") == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"node1": "ssh-ed25519 AAAA"}'])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "hosts.json"
    path.write_text(content)
    with pytest.raises(BadUse, match=r"hosts\.json"):
        HostKeys(path).pin("node1", "live", new_ssh_key().public)
    assert path.read_text() == content


def test_the_pinned_keys_types_are_asked_for_first() -> None:
    offered = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")
    assert preferred_key_types(offered, ()) == offered
    assert preferred_key_types(offered, ("ssh-rsa AAAA",)) == (
        "rsa-sha2-512",
        "rsa-sha2-256",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
    )


def test_ciphers_that_need_no_second_pass_are_asked_for_first_and_none_is_left_out() -> None:
    offered = ("aes128-ctr", "aes256-cbc", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
    assert preferred_ciphers(offered) == (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes256-cbc",
    )
