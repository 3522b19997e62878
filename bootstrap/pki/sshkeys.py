"""SSH key pairs in OpenSSH's own format, for operators, hosts and labs."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bootstrap.pki.store import read_if_there
from bootstrap.written import write_once, write_private


@dataclass(frozen=True, slots=True)
class SshKey:
    """A key pair: `private` in OpenSSH's PEM format, `public` as one line of authorized_keys, no comment."""

    private: bytes
    public: str

    def __repr__(self) -> str:
        return f"SshKey({fingerprint(self.public)})"


def new_ssh_key() -> SshKey:
    """A new Ed25519 key pair without a passphrase."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return SshKey(private, public.decode())


def kept_ssh_key(path: Path) -> SshKey:
    """The key pair at `path` and `path`.pub, made (mode 0600) where there is none yet. Several that ask at once get the
    same one: the private key decides, and the public one is always its own. Raises ValueError where the file holds
    something else."""
    private = read_if_there(path) or write_once(path, new_ssh_key().private)
    line = public_line(private)
    public = path.with_name(path.name + ".pub")
    if (read_if_there(public) or b"").decode("utf-8", "replace").strip() != line:
        write_private(public, f"{line}\n".encode())
    return SshKey(private, line)


# Each node's key is looked at several times in a run, and its file read each time.
@cache
def public_line(private: bytes) -> str:
    """The public half of a private key in OpenSSH's format, as one line. Raises ValueError where it is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_ssh_private_key(private, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What it says may hold some of the key.
        raise ValueError("no private key in OpenSSH's format") from None
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def fingerprint(public: str) -> str:
    """The SHA-256 fingerprint of a public key line, as `ssh-keygen -l` prints it."""
    blob = base64.b64decode(public.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
