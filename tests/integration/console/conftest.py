"""Users of this machine, made for a test and removed after it, and machines whose console they log in on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.inventory.serial_target import ConsoleTarget
from tests.integration.console.machine import Machine, a_machine


@dataclass(frozen=True)
class Account:
    """A user of this machine; its home is its own."""

    name: str
    password: str
    home: Path

    @property
    def uid(self) -> int:
        return self.home.stat().st_uid


@pytest.fixture
def machine() -> Iterator[Machine]:
    with a_machine() as made:
        yield made


@pytest.fixture
def add_user() -> Iterator[Callable[..., Account]]:
    """Adds users (options of useradd(8) may follow); gone at the end. Tests need to be root for it, as CI is."""
    assert os.geteuid() == 0, "these tests make users, as root"
    with ExitStack() as stack:

        def add(suffix: str = "", *options: str) -> Account:
            account = Account(f"cu{os.getpid()}{suffix}", "correct horse", Path(f"/home/cu{os.getpid()}{suffix}"))
            subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", *options, account.name], check=True)
            stack.callback(
                subprocess.run, ["userdel", "--force", "--remove", account.name], check=True, capture_output=True
            )
            subprocess.run(["chpasswd"], input=f"{account.name}:{account.password}\n", text=True, check=True)
            return account

        yield add


@pytest.fixture
def rooted(add_user: Callable[..., Account]) -> Account:
    """A second name of root, with a password that the test knows."""
    return add_user("r", "--non-unique", "--uid", "0", "--gid", "0")


@pytest.fixture
def may_use_sudo() -> Iterator[Callable[[Account, str], None]]:
    """Lets an account use sudo; what is said of it is the end of a line of sudoers(5)."""
    made: list[Path] = []

    def let(account: Account, rule: str) -> None:
        rules = Path("/etc/sudoers.d") / account.name
        rules.write_text(f"Defaults:{account.name} use_pty, !lecture, passwd_tries=2\n{account.name} {rule}\n")
        rules.chmod(0o440)
        made.append(rules)

    yield let
    for rules in made:
        rules.unlink(missing_ok=True)


def target_of(account: Account | None = None, **more: object) -> ConsoleTarget:
    """A console of node1; the account logs in on it with its password."""
    settings: dict[str, object] = {"node": "node1", "url": "/dev/ttyS9"}
    if account is not None:
        settings |= {"user": account.name, "password": lambda: account.password}
    return ConsoleTarget(**(settings | more))  # type: ignore[arg-type]
