"""Host keys that the person's ssh(1) knows already (known_hosts of sshd(8), hashed names included)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

FILES = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
DEFAULT_PORT = 22


def known_keys(host: str, port: int) -> tuple[str, ...]:
    """The public key lines that are known for the SSH server at `host` and `port`. Lines that can't be understood, and
    those of certificate authorities, are passed over."""
    import paramiko

    found = paramiko.HostKeys()
    for name in FILES:
        with suppress(OSError, UnicodeDecodeError):
            found.load(str(Path(name).expanduser()))
    entry = found.lookup(name_of(host, port))
    return tuple(f"{key.get_name()} {key.get_base64()}" for key in entry.values()) if entry else ()


def name_of(host: str, port: int) -> str:
    """What a server is called in known_hosts, and for `ssh-keygen -R`."""
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"
