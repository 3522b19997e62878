"""From a login prompt to a root shell: a real agetty and a real login on a real terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootstrap.connect.console_target import Heard
from bootstrap.errors import ClusterupError
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.transport.serial.errors import ConsoleLoginFailed
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.line.log import ConsoleLog, LoggedLine
from bootstrap.transport.serial.shell.expect import Talk
from bootstrap.transport.serial.shell.find import ShellPatience
from bootstrap.transport.serial.shell.root import enter_root_shell, leave_root_shell
from tests.helpers.daemons import wait_for
from tests.integration.console.conftest import Account, target_of
from tests.integration.console.machine import Machine, shows

SOON = ShellPatience(silent=20.0, total=120.0)
MOTD = Path("/run/motd.dynamic")
AddUser = Callable[..., Account]
MayUseSudo = Callable[[Account, str], None]


@pytest.fixture
def says_each_day() -> Iterator[Callable[[str], object]]:
    """Sets the message of the day that pam_motd(8) shows."""
    before = MOTD.read_bytes() if MOTD.exists() else None
    yield MOTD.write_text
    if before is None:
        MOTD.unlink(missing_ok=True)
    else:
        MOTD.write_bytes(before)


def whose_shell(machine: Machine, target: ConsoleTarget) -> str | None:
    line = machine.line(target)
    enter_root_shell(line, target, SOON)
    return Talk(line, target).prove("$(id -u)")


def refusal(machine: Machine, target: ConsoleTarget) -> str:
    with pytest.raises(ConsoleLoginFailed) as raised:
        enter_root_shell(machine.line(target), target, SOON)
    return str(raised.value)


def test_the_right_password_leads_to_a_root_shell(machine: Machine, rooted: Account) -> None:
    machine.lets_log_in()
    assert whose_shell(machine, target_of(rooted)) == "0"


def test_the_shell_echoes_nothing_keeps_no_history_and_waits_for_no_screen(machine: Machine, rooted: Account) -> None:
    machine.lets_log_in()
    target = target_of(rooted)
    line = machine.line(target)
    enter_root_shell(line, target, SOON)
    talk = Talk(line, target)
    assert talk.prove('$TERM:"${HISTFILE-none}":$(stty -a | grep -ow -e -echo)') == "dumb:none:-echo"
    talk.mark()
    talk.enter("true # and this line is echoed")
    talk.prove()
    assert "and this line is echoed" not in talk.seen.decode()


def test_a_wrong_password_is_typed_once_and_named(machine: Machine, rooted: Account) -> None:
    machine.lets_log_in()
    said = refusal(machine, target_of(rooted, password=lambda: "horse battery"))
    assert f"node1: console: its console does not let {rooted.name} in with that password" in said
    assert f"log in as {rooted.name} on /dev/ttyS9 at 115200" in said
    assert "Login incorrect" in said
    assert machine.typed.count(b"horse battery") == 1


@pytest.mark.parametrize("through", [lambda line: line, Heard], ids=["itself", "heard by somebody else too"])
def test_the_password_is_in_no_message_and_no_log(
    machine: Machine, rooted: Account, tmp_path: Path, through: Callable[[Line], Line]
) -> None:
    machine.lets_log_in()
    target = target_of(rooted)
    line = through(LoggedLine(machine.line(target), ConsoleLog(tmp_path / "log")))
    enter_root_shell(line, target, SOON)
    Talk(line, target).prove(rooted.password)
    line.close()
    kept = (tmp_path / "log").read_text()
    assert rooted.name in kept
    assert rooted.password not in kept


def test_a_locked_account_is_said_to_be_possible_where_login_says_no_more(machine: Machine, rooted: Account) -> None:
    subprocess.run(["usermod", "--lock", rooted.name], check=True)
    machine.lets_log_in()
    assert f"if both are right, {rooted.name} is locked" in refusal(machine, target_of(rooted))


def test_an_account_that_has_expired_is_named_as_such(machine: Machine, add_user: AddUser) -> None:
    account = add_user()
    subprocess.run(["chage", "--expiredate", "1", account.name], check=True)
    machine.lets_log_in()
    assert "the account is locked or expired" in refusal(machine, target_of(account))


def test_an_account_without_a_shell_is_named_as_such(machine: Machine, add_user: AddUser) -> None:
    account = add_user("n", "--shell", "/usr/sbin/nologin")
    machine.lets_log_in()
    assert "This account is currently not available" in refusal(machine, target_of(account))


def test_a_password_that_has_to_be_changed_first_is_named_as_such(machine: Machine, add_user: AddUser) -> None:
    account = add_user()
    subprocess.run(["chage", "--lastday", "0", account.name], check=True)
    machine.lets_log_in()
    assert f"{account.name} has to choose a new password" in refusal(machine, target_of(account))


def test_a_console_that_asks_for_a_password_when_none_is_configured(machine: Machine, rooted: Account) -> None:
    machine.lets_log_in()
    assert "console.password_from" in refusal(machine, target_of(rooted, password=None))


def test_a_message_of_the_day_may_look_like_any_prompt(
    machine: Machine, rooted: Account, says_each_day: Callable[[str], object]
) -> None:
    says_each_day("# Authorized use only. Access denied to all others.\nroot@vm:~# \nLast login: never\nPassword:\n# ")
    machine.lets_log_in()
    assert whose_shell(machine, target_of(rooted)) == "0"


def test_the_kernel_may_write_behind_every_prompt(machine: Machine, rooted: Account) -> None:
    machine.lets_log_in()
    target = target_of(rooted)
    line = machine.line(target)
    shows(line, lambda seen: b"login: " in seen)
    machine.says(b"[   12.345678] usb 1-1: new high-speed USB device\r\n[   12.4] usb 1-1: again\r\n")
    enter_root_shell(line, target, SOON)
    assert Talk(line, target).prove("$(id -u)") == "0"


def test_root_by_sudo_with_the_users_password(machine: Machine, add_user: AddUser, may_use_sudo: MayUseSudo) -> None:
    account = add_user()
    may_use_sudo(account, "ALL=(ALL) ALL")
    machine.lets_log_in()
    assert whose_shell(machine, target_of(account)) == "0"


def test_root_by_sudo_without_a_password(machine: Machine, add_user: AddUser, may_use_sudo: MayUseSudo) -> None:
    account = add_user()
    may_use_sudo(account, "ALL=(ALL) NOPASSWD: ALL")
    machine.lets_log_in()
    assert whose_shell(machine, target_of(account)) == "0"
    assert machine.typed.count(account.password.encode()) == 1


def test_a_user_who_may_not_become_root_is_told_so(machine: Machine, add_user: AddUser) -> None:
    account = add_user()
    machine.lets_log_in()
    said = refusal(machine, target_of(account))
    assert f"{account.name} does not become root on its console" in said
    assert "console.root_password_from" in said


def test_root_by_su_with_roots_password(machine: Machine, add_user: AddUser, tmp_path: Path) -> None:
    account = add_user()
    hashed = subprocess.run(["openssl", "passwd", "-6", "tr0ub4dor"], check=True, capture_output=True, text=True).stdout
    users = Path("/etc/shadow").read_text().splitlines()
    shadow = tmp_path / "shadow"
    shadow.write_text("\n".join([f"root:{hashed.strip()}:19000::::::", *(u for u in users if u[:5] != "root:"), ""]))
    # Only this getty and what it starts see that root has a password.
    inside = ("unshare", "--mount", "sh", "-c", f'mount --bind {shadow} /etc/shadow && exec "$@"', "sh")
    machine.lets_log_in(*inside)
    assert whose_shell(machine, target_of(account, root_password=lambda: "tr0ub4dor")) == "0"
    assert machine.typed.count(b"tr0ub4dor") == 1


def test_leaving_logs_out(machine: Machine, add_user: AddUser, may_use_sudo: MayUseSudo) -> None:
    account = add_user()
    may_use_sudo(account, "ALL=(ALL) ALL")
    machine.lets_log_in()
    target = target_of(account)
    line = machine.line(target)
    enter_root_shell(line, target, SOON)
    assert any("sudo" in command for command in machine.processes())
    leave_root_shell(line, target)
    wait_for(lambda: all("agetty" in command for command in machine.processes()), "the login prompt after logging out")


def test_leaving_a_line_that_is_gone_is_no_failure(machine: Machine) -> None:
    target = target_of()
    line = machine.line(target)
    line.close()
    leave_root_shell(line, target)
    with pytest.raises(ClusterupError, match="the line to its console is gone"):
        line.read(0)
