"""Host keys that the person's ssh(1) knows already (known_hosts of sshd(8), hashed names included)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bootstrap.pki.sshkeys import fingerprint
from bootstrap.transport.errors import HostKeyMismatch

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


def is_known(host: str, port: int, shown: str) -> bool:
    """Whether the server's key (a public key line) is known. Raises HostKeyMismatch where another one of its kind
    is."""
    known = known_keys(host, port)
    if shown in known:
        return True
    kind = shown.split(maxsplit=1)[0]
    if other := next((line for line in known if line.startswith(f"{kind} ")), None):
        raise HostKeyMismatch(
            f"{name_of(host, port)} shows another host key than the one in known_hosts; nothing was sent to it",
            step="connect",
            tried=f"known_hosts says {kind} {fingerprint(other)}",
            got=f"shown was {kind} {fingerprint(shown)}",
            hint=f"if the machine was installed again, run: ssh-keygen -R '{name_of(host, port)}'; if not, find out "
            "who answers at that address",
        )
    return False


def name_of(host: str, port: int) -> str:
    """What a server is called in known_hosts, and for `ssh-keygen -R`."""
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"
