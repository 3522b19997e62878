"""From a login prompt to a root shell: a real agetty and a real login."""

from __future__ import annotations

from collections.abc import Callable

from bootstrap.transport.serial.root import enter_root_shell
from bootstrap.transport.serial.shell import Patience
from bootstrap.transport.serial.talk import Talk
from tests.integration.serial.conftest import Account, target_of
from tests.integration.serial.machine import Machine

SOON = Patience(silent=20.0, total=120.0)
AddUser = Callable[..., Account]


def test_the_right_password_leads_to_a_root_shell(machine: Machine, rooted: Account) -> None:
    machine.lets_log_in()
    target = target_of(rooted)
    line = machine.line(target)
    enter_root_shell(line, target, SOON)
    assert Talk(line, target).prove("$(id -u) $TERM $HISTFILE") == "0 dumb"
