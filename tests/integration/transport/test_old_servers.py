"""Servers that know SHA-1 alone, as before OpenSSH 7.2: what can be used is, what can't is called by its name."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.transport.base import Command
from bootstrap.transport.errors import HostKeyMismatch, TransportError
from bootstrap.transport.knownhosts import is_known
from bootstrap.transport.ssh import open_ssh
from tests.integration.transport.conftest import Server, World, write_key

StartSshd = Callable[..., Server]


def rsa_key(place: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(place)], check=True)
    return place


@pytest.mark.parametrize("exchange", ["diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1"])
def test_a_server_that_exchanges_keys_with_sha_1_alone_is_called_old(
    world: World, start_sshd: StartSshd, exchange: str
) -> None:
    with pytest.raises(TransportError, match="no algorithm in common: its SSH server is old") as failed:
        world.open(world.target(start_sshd(f"KexAlgorithms {exchange}")))
    assert "SHA-1" in str(failed.value)
    assert "before OpenSSH 7.2" in failed.value.hint


def test_a_server_whose_host_key_signs_with_sha_1_alone_is_called_old(world: World, start_sshd: StartSshd) -> None:
    key = rsa_key(world.folder / "rsa")
    server = start_sshd(f"HostKey {key}", "HostKeyAlgorithms ssh-rsa")
    with pytest.raises(TransportError, match="its SSH server is old") as failed:
        world.open(world.target(server))
    assert "SHA-1" in str(failed.value)


@pytest.mark.parametrize("line", ["MACs hmac-sha1", "Ciphers aes128-ctr"])
def test_what_is_old_and_not_broken_is_used(world: World, start_sshd: StartSshd, line: str) -> None:
    way = world.open(world.target(start_sshd(line)))
    assert way.check(Command("who", "id -u")).text == "0\n"


def test_a_jump_host_that_shows_another_key_than_known_hosts_says_which_node_is_behind_it(
    world: World, start_sshd: StartSshd, sshd: Server
) -> None:
    jump = start_sshd()
    known = Path.home() / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"[127.0.0.1]:{jump.port} {write_key(world.folder / 'other')}\n")

    def trust(name: str, line: str, _: dict[str, str]) -> str | None:
        return "known" if name == "node7" or is_known("127.0.0.1", jump.port, line) else None

    target = world.target(sshd, node="node7", jumps=(world.target(jump),))
    with pytest.raises(HostKeyMismatch) as failed:
        open_ssh(target, world.host_keys, trust)
    assert failed.value.node == "node7"
    assert f"[127.0.0.1]:{jump.port}" in str(failed.value)
