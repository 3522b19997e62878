"""Where to connect to, as the operator said it (`SshTarget`) and with everything decided (`Hop`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from pathlib import Path

from bootstrap.paths import home_folder


def _default_config() -> Path:
    home = home_folder()
    # Without a home there is no configuration of the user's own.
    return home / ".ssh" / "config" if home else Path(os.devnull)


@dataclass(frozen=True, slots=True)
class Destination:
    """[user@]host[:port], as a person types it."""

    host: str
    port: int | None = None
    user: str | None = None


def place_of(text: str) -> Destination:
    """The place that `text` names: [user@]host[:port]; an IPv6 address is in brackets where a port follows. Raises
    ValueError."""
    user, _, place = text.rpartition("@")
    if _is_ipv6(place):
        return Destination(place, None, user or None)
    # ssh takes any host in brackets, and writes addresses in them.
    found = re.fullmatch(r"(\[(?P<inside>[^][]+)\]|(?P<host>[^][:]+))(:(?P<port>[0-9]{1,5}))?", place)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (":" in (found["inside"] or "") and not _is_ipv6(found["inside"])):
        raise ValueError(f"{text} is not of the form [user@]host[:port], with an IPv6 address in brackets")
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"{text}: {port} is not a port from 1 to 65535")
    return Destination(found["inside"] or found["host"], port, user or None)


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class OwnLogin:
    """How a machine is logged in to that shows `host_key` (a public key line): as `user`, who is root there, with `key`
    before all others.

    To a machine that shows another one, `key` is offered after those that are named, and in the place of none of them.
    `content` is what will be in that file, where it is not written yet.
    """

    host_key: str
    user: str
    key: Path
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SshTarget:
    """The way to a node as the inventory says it; what is None comes from the ssh_config(5), then defaults.

    `jumps` are the hosts on the way, the nearest first. `agent`: keys of the agent at $SSH_AUTH_SOCK are used.
    `own` wins over `user` and `keys` where the machine is the one that it is about. `host_key` is the public key line
    that it has to show, whatever is pinned.
    """

    node: str
    host: str
    port: int | None = None
    user: str | None = None
    keys: tuple[Path, ...] = ()
    own: OwnLogin | None = None
    password: Callable[[], str] | None = None
    passphrase: Callable[[], str] | None = None
    jumps: tuple[SshTarget, ...] = ()
    use_config: bool = True
    config_file: Path = field(default_factory=_default_config)
    agent: bool = True
    host_key: str | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way, the node's own being the last.

    `pin_name` is the name its host key is pinned under; `node` is whom the way leads to, for messages.
    `only_keys`: of the agent's keys only those in `keys` are offered (IdentitiesOnly of ssh_config(5)). `own`: see
    `SshTarget`. `agent_socket` is another agent's than that at $SSH_AUTH_SOCK. `unused` are options of the SSH
    configuration that are set for it and count for nothing here. `host_key` is the public key line that it has to show,
    where the inventory says so.
    """

    pin_name: str
    node: str
    host: str
    port: int
    user: str
    keys: tuple[Path, ...]
    own: OwnLogin | None
    password: Callable[[], str] | None
    passphrase: Callable[[], str] | None
    agent: bool
    only_keys: bool
    agent_socket: str | None = None
    unused: tuple[str, ...] = ()
    host_key: str | None = None

    def having_shown(self, host_key: str) -> Hop:
        """The hop as it is logged in to when it has shown that host key (a public key line)."""
        if self.own is None or not self.ours(host_key):
            return self
        return replace(self, user=self.own.user, keys=(self.own.key, *self.keys))

    def ours(self, host_key: str) -> bool:
        """Whether that is the host key of the machine that `own` is about."""
        return self.own is not None and self.own.host_key == host_key

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"

    @property
    def is_jump(self) -> bool:
        return self.pin_name != self.node

    @property
    def described(self) -> str:
        """The address, said to be a jump host's where it is one."""
        return f"jump host {self.address}" if self.is_jump else self.address


def said_of_unused(hop: Hop) -> str:
    """What goes on a hint where something of the SSH configuration counts for nothing here; else nothing."""
    return f"; of the SSH configuration, clusterup does not use {', '.join(hop.unused)}" if hop.unused else ""
