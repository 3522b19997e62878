"""A console on which somebody else's shell is, or nothing yet: whoever may become root logs in there."""

from __future__ import annotations

import threading

from bootstrap.transport.serial.line.descriptor import DescriptorLine
from bootstrap.transport.serial.shell.expect import Talk
from bootstrap.transport.serial.shell.find import ShellPatience
from bootstrap.transport.serial.shell.root import enter_root_shell
from tests.helpers.daemons import wait_for
from tests.integration.console.conftest import Account, target_of
from tests.integration.console.machine import Machine, shows

SOON = ShellPatience(silent=20.0, total=120.0)
TARGET = target_of()


def types(line: DescriptorLine, text: str, until: str) -> None:
    """Somebody types, and sees what is awaited."""
    line.write(text.encode())
    shows(line, lambda seen: until.encode() in seen)


def test_the_shell_of_somebody_who_may_not_become_root_is_logged_out(machine: Machine, rooted: Account) -> None:
    machine.lets_log_in()
    unprivileged = machine.line(TARGET)
    shows(unprivileged, lambda seen: b"login: " in seen)
    types(unprivileged, f"{rooted.name}\r", "assword: ")
    types(unprivileged, f"{rooted.password}\r", "#")
    types(unprivileged, "exec setpriv --reuid=65534 --regid=65534 --clear-groups bash --norc -i\r", "$ ")
    target = target_of(rooted)
    enter_root_shell(unprivileged, target, SOON)
    assert Talk(unprivileged, target).prove("$(id -u)") == "0"
    assert not any("--norc" in command for command in machine.processes())


def test_firmware_and_kernel_are_waited_for(machine: Machine, rooted: Account) -> None:
    target = target_of(rooted)
    line = machine.line(target)
    machine.says(b"U-Boot 2023.01\r\nHit any key to stop autoboot:  2 \r\n")
    machine.says(b"[    0.000000] Linux version 6.1.0\r\n[  OK  ] Reached target getty.target.\r\n")
    typed_before_getty: list[bytes] = []

    def boots() -> None:
        wait_for(lambda: True, "a moment")
        typed_before_getty.append(machine.typed)
        machine.lets_log_in()

    booting = threading.Timer(2.0, boots)
    booting.start()
    enter_root_shell(line, target, SOON)
    booting.join()
    assert typed_before_getty == [b""]
    assert Talk(line, target).prove("$(id -u)") == "0"
