"""What the end of a console's text looks like."""

from __future__ import annotations

import pytest

from bootstrap.transport.serial.shell import prompts


@pytest.mark.parametrize(
    "text",
    [
        "Debian GNU/Linux 12 vm ttyS0\n\nvm login: ",
        "login:",
        "Username: ",
        "vm login: [   12.345678] usb 1-1: new device\n[   12.4] usb 1-1: again\n",
    ],
)
def test_a_login_prompt(text: str) -> None:
    assert prompts.asks_for_user(text)


@pytest.mark.parametrize(
    "text", ["Last login: ", "Last login: Tue Nov 24 on ttyS0\n# ", "login: root", "vm login: \n$ "]
)
def test_no_login_prompt(text: str) -> None:
    assert not prompts.asks_for_user(text)


@pytest.mark.parametrize(
    "text",
    ["root\nPassword: ", "Passwort: ", "[sudo] password for me: ", "Mot de passe : ", "密码\uff1a", "New password: "],
)
def test_a_prompt_for_a_secret(text: str) -> None:
    assert prompts.asks_for_password(text)


@pytest.mark.parametrize("text", ["Password: expired\n# ", "password", "Give your password to nobody: \n$ "])
def test_no_prompt_for_a_secret(text: str) -> None:
    assert not prompts.asks_for_password(text)


@pytest.mark.parametrize("text", ["text\n--More--", "text\n--More--(20%)", "(END)", "text\n:", "lines 1-23/40 57%"])
def test_a_pager(text: str) -> None:
    assert prompts.is_pager(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hit any key to stop autoboot:  3 ",
        "The highlighted entry will be executed automatically in 5s.",
        "Boot in 3 s.",
        "SeaBIOS (version 1.16.2)\niPXE (http://ipxe.org)",
        "Press ESC for boot menu.",
    ],
)
def test_a_boot_loader_that_a_key_would_stop(text: str) -> None:
    assert prompts.is_boot_loader(text)
    assert not prompts.is_boot_loader(text + "\n[    0.000000] Linux version 6.1.0\n")
    assert prompts.is_booting(text + "\n[    0.000000] Linux version 6.1.0\n")


@pytest.mark.parametrize("text", ["\n=> ", "grub> ", "grub rescue> ", "Shell> "])
def test_a_boot_loader_that_waits_for_commands(text: str) -> None:
    assert prompts.is_loader_prompt(text)


def test_why_a_login_was_refused() -> None:
    assert prompts.says_locked("The account is locked due to 3 failed logins.\n(10 minutes left to unlock)")
    assert prompts.says_locked("Your account has expired; please contact your system administrator.")
    assert prompts.says_refused("Login incorrect")
    assert not prompts.says_refused("Last login: Tue Nov 24\nWelcome")
    assert prompts.wants_new_password("You are required to change your password immediately (administrator enforced).")
