"""Public keys of SSH as an inventory has them: one line each, and never a private one.

Sources: sshd(8), "AUTHORIZED_KEYS FILE FORMAT"; RFC 4253, section 6.6.
"""

from __future__ import annotations

import base64
import binascii
import re

from bootstrap.inventory.text import looks_private, unprintable_in
from bootstrap.inventory.values import line, wrong

LONGEST_KEY_LINE = 8_192
AUTHORIZED = "the line of a .pub file, as in: ssh-ed25519 AAAAC3Nza... me@laptop"
HOST_KEY = (
    "the key's own line, as in: ssh-ed25519 AAAAC3Nza...; the machine has it in /etc/ssh/ssh_host_ed25519_key.pub, and "
    "`ssh-keyscan -t ed25519 HOST` prints it (compare it with the machine's console)"
)
TRUSTED = (
    "the line of an Ed25519 key's .pub file, as in: ssh-ed25519 AAAAC3Nza... release; `ssh-keygen -t ed25519` makes one"
)
_HOST_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_KINDS = (*_HOST_KINDS, "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")
_AUTHORIZED = re.compile(
    rf'((?:[^\s"]|"(?:\\.|[^"\\])*")+\s+)??(?P<kind>{"|".join(map(re.escape, _KINDS))})\s+(?P<blob>\S+)(\s.*)?'
)
_HOST = re.compile(rf"(?P<kind>{'|'.join(map(re.escape, _HOST_KINDS))})\s+(?P<blob>\S+)(\s.*)?")
_SIGNING_KINDS = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")
_SIGNING = re.compile(rf"(?P<kind>{'|'.join(map(re.escape, _SIGNING_KINDS))})\s+(?P<blob>\S+)(\s.*)?")
_FINGERPRINT = re.compile(r"(SHA256:\S*|MD5:\S*|([0-9a-f]{2}:){15}[0-9a-f]{2})", re.IGNORECASE)


def authorized_key(text: str) -> str:
    """A line of authorized_keys, options and comment included."""
    _not_private(text)
    if _FINGERPRINT.fullmatch(text.strip()):
        raise wrong("this is a fingerprint, not a key", AUTHORIZED)
    if text.startswith("ssh-dss "):
        raise wrong("SSH servers of today let in no one with a DSA key", AUTHORIZED)
    _check_blob(_AUTHORIZED.fullmatch(line(text, LONGEST_KEY_LINE)), AUTHORIZED)
    return text


def host_key(text: str) -> str:
    """A public host key: its kind and itself, perhaps with a comment."""
    return _without_options(text, _HOST, HOST_KEY)


def trusted_key(text: str) -> str:
    """A public Ed25519 key that signs bundles, perhaps with a comment."""
    return _without_options(text, _SIGNING, TRUSTED)


def _without_options(text: str, form: re.Pattern[str], allowed: str) -> str:
    _not_private(text)
    if _FINGERPRINT.fullmatch(text.strip()):
        raise wrong("this is a fingerprint, not a key", allowed)
    _check_blob(form.fullmatch(line(text, LONGEST_KEY_LINE)), allowed)
    return text


def _not_private(text: str) -> None:
    if looks_private(text):
        raise wrong("this is a private key, and it has to stay where it is", AUTHORIZED)
    if (char := unprintable_in(text)) is not None:
        raise wrong(f"it holds {char}", f"one line for each key: {AUTHORIZED}")


def _check_blob(found: re.Match[str] | None, allowed: str) -> None:
    if found is None:
        raise wrong("this is not a public key", allowed)
    kind = found["kind"].encode()
    try:
        blob = base64.b64decode(found["blob"], validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    # Its kind stands in it once more, and something behind that.
    if not blob.startswith(len(kind).to_bytes(4, "big") + kind) or len(blob) < len(kind) + 4 + 32:
        raise wrong("the key is not whole", allowed)
