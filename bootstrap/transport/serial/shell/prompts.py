"""What the end of a console's text looks like. Guesses all of them: what a shell is, only a marker proves."""

from __future__ import annotations

import re

# The kernel may write to the same console right behind a prompt.
_KERNEL = r"(?:\[\s*\d+\.\d+\].*)?"
_LOGIN = re.compile(rf"(?<!last )\b(?:login|user ?name):\s*{_KERNEL}\Z", re.IGNORECASE | re.DOTALL)
# As PAM's translations have it; a colon of Chinese and Japanese is wide.
_WORDS = (
    r"pass(?:word|code|phrase|wort|e)|contraseña|senha|parola|wachtwoord|lösenord|hasło|heslo|salasana|пароль|密码|密碼|"
    "パスワード|암호"
)
_COLON = ":\uff1a"
_PASSWORD = re.compile(rf"(?:{_WORDS})[^{_COLON}\n]{{0,60}}[{_COLON}]\s*{_KERNEL}\Z", re.IGNORECASE | re.DOTALL)
_PAGER = re.compile(
    r"(?:--More--|\(END\)|^:|lines \d+-\d+|Manual page .*line \d+|for help or q to quit|RETURN to continue)[^\n]*\Z",
    re.IGNORECASE | re.MULTILINE,
)
_BOOT_LOADER = re.compile(
    r"autoboot|automatic(?:ally)? boot|executed automatically|boot in \d+ s|press (?:any key|esc|del|f\d|ctrl-b)|"
    r"hit any key|boot manager|boot menu|boot options|GNU GRUB|U-Boot|SeaBIOS|iPXE|ISOLINUX|SYSLINUX|BdsDxe|"
    r"booting from",
    re.IGNORECASE,
)
_BOOTING = re.compile(r"^\s*(?:<\d>)?\[\s*(?:\d+\.\d+|OK|FAILED|\*+\s*)\s*\]", re.MULTILINE)
_LOADER_PROMPT = re.compile(r"(?:^=>|^grub(?: rescue)?>|^Shell>|^boot:|^U-Boot>|^ok)\s*\Z", re.MULTILINE)
_LOCKED = re.compile(
    r"account[^\n]{0,60}(?:locked|expired|disabled|not available|not valid)|locked due to|temporarily locked",
    re.IGNORECASE,
)
_RENEW = re.compile(
    r"(?:change|expired)[^\n]{0,40}password|password[^\n]{0,40}expired|new password|current password", re.IGNORECASE
)
_REFUSED = re.compile(
    r"login incorrect|authentication (?:failure|error)|permission denied|access denied|not permitted to log in|"
    r"not allowed|maximum number of tries|refused on this terminal",
    re.IGNORECASE,
)
RECENT = 2000
"""Characters at the end in which a boot loader is looked for."""


def asks_for_user(text: str) -> bool:
    """A login prompt stands at the end."""
    return _LOGIN.search(text[-RECENT:]) is not None


def asks_for_password(text: str) -> bool:
    """A prompt for a secret stands at the end."""
    return _PASSWORD.search(text[-RECENT:]) is not None


def is_pager(text: str) -> bool:
    """A pager waits for a key (more(1), less(1), systemctl)."""
    return _PAGER.search(text[-RECENT:].rstrip("\n ")) is not None


def is_boot_loader(text: str) -> bool:
    """Firmware or a boot loader was the last to write, as far as can be told: a key could stop it."""
    recent = text[-RECENT:]
    return _BOOT_LOADER.search(recent) is not None and _BOOTING.search(recent) is None


def is_booting(text: str) -> bool:
    """A kernel or an init system is at work."""
    return is_boot_loader(text) or _BOOTING.search(text[-RECENT:]) is not None


def is_loader_prompt(text: str) -> bool:
    """The prompt of a boot loader or of the firmware stands at the end: no system was started."""
    return _LOADER_PROMPT.search(text[-RECENT:].rstrip("\n ")) is not None


def says_locked(text: str) -> bool:
    """The account is locked or expired, in so many words."""
    return _LOCKED.search(text) is not None


def wants_new_password(text: str) -> bool:
    """The password has to be changed first."""
    return _RENEW.search(text) is not None


def says_refused(text: str) -> bool:
    """The login was refused, in so many words; a login prompt follows."""
    return says_locked(text) or _REFUSED.search(text) is not None
