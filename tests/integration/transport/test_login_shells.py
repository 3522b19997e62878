"""Login shells and accounts as they are met: those that greet, that are not sh, that run nothing, and odd sudoers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.transport.base import Command
from bootstrap.transport.errors import TransportError
from tests.integration.transport.conftest import Server, User, World, without_password

StartSshd = Callable[..., Server]
TEXT = "one\ntwo 'quoted' \"twice\" $HOME !! \\\\ ö\t%d\n"
ECHO = Command("echo", "cat; printf '%s|' \"$(id -u)\" '!' 'a\\b'\nprintf '%s\\n' \"it's\"")


def home_of(user: User) -> Path:
    return Path("/home") / user.name


def shell_of(user: User, shell: str | Path) -> None:
    subprocess.run(["usermod", "--shell", str(shell), user.name], check=True)


@pytest.mark.parametrize(
    "noise", ["echo Welcome, friend", "printf 'no line end'", "echo to you >&2", "cat /etc/passwd"]
)
def test_a_bashrc_that_prints_is_no_output_of_ours(world: World, sshd: Server, sudoer: User, noise: str) -> None:
    without_password(sudoer)
    shell_of(sudoer, "/bin/bash")
    (home_of(sudoer) / ".bashrc").write_text(f"{noise}\n")
    way = world.open(world.target(sshd, user=sudoer.name))
    assert way.check(ECHO, stdin=TEXT.encode()).stdout.decode() == f"{TEXT}0|!|a\\b|it's\n"


@pytest.mark.parametrize("shell", ["bash", "dash", "tcsh", "csh", "zsh", "fish"])
def test_whatever_the_login_shell_is_scripts_run_as_written(
    world: World, sshd: Server, sudoer: User, shell: str
) -> None:
    place = shutil.which(shell)
    assert place is not None, f"{shell} is one of the packages that scripts/test installs"
    without_password(sudoer)
    shell_of(sudoer, place)
    way = world.open(world.target(sshd, user=sudoer.name))
    assert way.check(ECHO, stdin=TEXT.encode()).stdout.decode() == f"{TEXT}0|!|a\\b|it's\n"


def refused(world: World, server: Server, user: str) -> TransportError:
    with pytest.raises(TransportError) as failed:
        world.open(world.target(server, user=user))
    assert "a password is required" not in str(failed.value)
    return failed.value


def test_an_account_without_a_login_is_said_to_be_one(world: World, sshd: Server, sudoer: User) -> None:
    shell_of(sudoer, "/usr/sbin/nologin")
    failed = refused(world, sshd, sudoer.name)
    assert failed.problem == f"{sudoer.name} may log in, but no command runs"
    assert failed.got == "This account is currently not available."
    assert "login shell" in failed.hint


def test_a_cloud_image_that_wants_another_user_is_understood(world: World, start_sshd: StartSshd) -> None:
    says = 'Please login as the user "debian" rather than the user "root".'
    server = start_sshd(f"ForceCommand echo '{says}'; exit 142")
    failed = refused(world, server, "root")
    assert failed.got == says
    assert failed.hint == "log in as debian (ssh.user: debian); it becomes root with sudo"


def test_a_password_that_has_to_be_changed_is_said_to_have_to(world: World, start_sshd: StartSshd) -> None:
    # As pam_unix has sshd say it to who has no terminal.
    server = start_sshd("ForceCommand echo 'Password change required but no TTY available.' >&2; exit 1")
    failed = refused(world, server, "root")
    assert failed.got == "Password change required but no TTY available."
    assert failed.hint.startswith("its password has to be changed")


def rules(user: User, *lines: str) -> None:
    (Path("/etc/sudoers.d") / user.name).write_text("".join(f"{line}\n" for line in lines))


def test_a_sudo_that_wants_a_terminal_is_quoted(world: World, sshd: Server, sudoer: User) -> None:
    rules(sudoer, f"Defaults:{sudoer.name} requiretty", f"{sudoer.name} ALL=(ALL) NOPASSWD: ALL")
    failed = refused(world, sshd, sudoer.name)
    assert failed.got is not None
    assert "you must have a tty to run sudo" in failed.got
    assert failed.hint.startswith(f"take requiretty away from {sudoer.name}")
    with pytest.raises(TransportError) as with_password:
        world.open(world.target(sshd, user=sudoer.name, password=lambda: sudoer.password))
    assert "you must have a tty" in (with_password.value.got or "")


def test_a_user_whom_sudo_does_not_know_is_told_what_sudo_says(world: World, sshd: Server, sudoer: User) -> None:
    rules(sudoer, "# nothing")
    with pytest.raises(TransportError) as failed:
        world.open(world.target(sshd, user=sudoer.name, password=lambda: sudoer.password))
    assert "is not in the sudoers file" in (failed.value.got or "")
    assert sudoer.password not in str(failed.value)


def test_what_sudo_says_is_shown_where_no_password_is_configured(world: World, sshd: Server, sudoer: User) -> None:
    with pytest.raises(TransportError) as failed:
        world.open(world.target(sshd, user=sudoer.name))
    assert failed.value.got == "sudo: a password is required"
