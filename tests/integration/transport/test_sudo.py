"""Being root as a user who isn't, with real sudo."""

from __future__ import annotations

import pytest

from bootstrap.transport.base import Command
from bootstrap.transport.errors import TransportError
from tests.integration.transport.conftest import Server, User, World, without_password

ROOT_AND_INPUT = Command("who and what", "id -u; cat")
BYTES = bytes(range(256)) * 400


def test_sudo_without_a_password(world: World, sshd: Server, sudoer: User) -> None:
    without_password(sudoer)
    way = world.open(world.target(sshd, user=sudoer.name))
    assert way.check(ROOT_AND_INPUT, stdin=BYTES).stdout == b"0\n" + BYTES


def test_sudo_with_a_password_leaves_input_and_outputs_exact(world: World, sshd: Server, sudoer: User) -> None:
    way = world.open(world.target(sshd, user=sudoer.name, password=lambda: sudoer.password))
    for _ in range(2):  # a remembered password would let the second one's line reach the command
        result = way.check(ROOT_AND_INPUT, stdin=BYTES)
        assert result.stdout == b"0\n" + BYTES
        assert result.stderr == b""


def test_the_password_is_never_among_the_arguments_of_a_process(world: World, sshd: Server, sudoer: User) -> None:
    way = world.open(world.target(sshd, user=sudoer.name, password=lambda: sudoer.password))
    seen = way.check(Command("list", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; :")).stdout
    assert b"sudo" in seen
    assert sudoer.password.encode() not in seen


def test_sudo_that_wants_a_password_that_no_one_has(world: World, sshd: Server, sudoer: User) -> None:
    with pytest.raises(TransportError, match=r"without a password, and none is configured") as failed:
        world.open(world.target(sshd, user=sudoer.name))
    assert "ssh.password_from" in failed.value.hint


def test_sudo_with_the_wrong_password(world: World, sshd: Server, sudoer: User) -> None:
    with pytest.raises(TransportError, match="sudo does not accept") as failed:
        world.open(world.target(sshd, user=sudoer.name, password=lambda: "battery staple"))
    assert failed.value.node == "node1"
    assert "battery staple" not in str(failed.value)
