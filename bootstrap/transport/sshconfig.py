"""From what the operator said and ~/.ssh/config to the hops of the way to a node (ssh_config(5))."""

from __future__ import annotations

import getpass
import re
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import cast

from bootstrap.errors import BadUse
from bootstrap.transport.target import Hop, SshTarget, place_of

DEEPEST_INCLUDE = 16
LONGEST_WAY = 8
DEFAULT_PORT = 22
MATCH_EXEC = re.compile(r"\s*match\s(.*\s)?!?exec\s", re.IGNORECASE)


def route(target: SshTarget) -> tuple[Hop, ...]:
    """The SSH servers to pass, the nearest first, the node's own last.

    Of the configuration HostName, Port, User, IdentityFile, IdentitiesOnly, ProxyJump and Include count; what
    the target says itself wins. Raises BadUse when the configuration can't be used.
    """
    settings = _settings(target)
    last = _hop(target, settings, pin_name=target.node, default_user="root")
    return (*_jump_hops(target, settings, 1), last)


def _jump_hops(target: SshTarget, settings: dict[str, object], depth: int) -> tuple[Hop, ...]:
    if depth > LONGEST_WAY:
        raise _unusable(target, "its ProxyJump leads in a circle, or over more than 8 hosts")
    hops: list[Hop] = []
    for position, jump in enumerate(target.jumps or _proxy_jumps(target, settings)):
        jump_settings = _settings(jump)
        if position == 0:  # as in ssh(1): only the first of a list is reached by its own ProxyJump
            hops += _jump_hops(jump, jump_settings, depth + 1)
        hop = _hop(jump, jump_settings, pin_name="", default_user=getpass.getuser())
        hops.append(replace(hop, node=target.node, pin_name=f"jump:{hop.host}:{hop.port}"))
    return tuple(hops)


def _hop(target: SshTarget, settings: dict[str, object], *, pin_name: str, default_user: str) -> Hop:
    configured = [str(name) for name in cast(list[str], settings.get("identityfile", []))]
    keys = target.keys or tuple(Path(name).expanduser() for name in configured if name.lower() != "none")
    return Hop(
        pin_name=pin_name,
        node=target.node,
        host=str(settings.get("hostname", target.host)),
        port=target.port or _port(target, settings),
        user=target.user or str(settings.get("user", default_user)),
        keys=tuple(key.expanduser() for key in keys),
        own=target.own,
        password=target.password,
        passphrase=target.passphrase,
        agent=target.agent,
        only_keys=str(settings.get("identitiesonly", "no")).lower() == "yes",
    )


def _port(target: SshTarget, settings: dict[str, object]) -> int:
    text = str(settings.get("port", DEFAULT_PORT))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise _unusable(target, f"Port {text} is not a port number")
    return int(text)


def _proxy_jumps(target: SshTarget, settings: dict[str, object]) -> tuple[SshTarget, ...]:
    text = str(settings.get("proxyjump", "none"))
    if text.lower() == "none":
        if "proxycommand" in settings:
            raise _unusable(target, "it sets ProxyCommand, which is not supported (ProxyJump is)")
        return ()
    return tuple(_jump(target, item.strip()) for item in text.split(","))


def _jump(target: SshTarget, text: str) -> SshTarget:
    """One item of ProxyJump: [user@]host[:port] or ssh://[user@]host[:port]; IPv6 addresses in brackets."""
    try:
        place = place_of(text.removeprefix("ssh://"))
    except ValueError as error:
        raise _unusable(target, f"ProxyJump {error}") from None
    return SshTarget(
        node=target.node,
        host=place.host,
        port=place.port,
        user=place.user,
        passphrase=target.passphrase,
        config_file=target.config_file,
        agent=target.agent,
    )


def _settings(target: SshTarget) -> dict[str, object]:
    if not target.use_config or not target.config_file.is_file():
        return {}
    import paramiko

    try:
        lines = _lines(target.config_file, target.config_file.parent, 0)
        if any(MATCH_EXEC.match(line) for line in lines):
            # Paramiko would run it with our standard input, and have it eat what a person types for us.
            raise _unusable(target, "it uses 'Match exec', which is not supported")
        return dict(paramiko.SSHConfig.from_text("\n".join(lines)).lookup(target.host))
    except (paramiko.SSHException, OSError, UnicodeDecodeError, IndexError) as error:
        raise _unusable(target, str(error)) from None


def _lines(path: Path, folder: Path, depth: int) -> list[str]:
    """The file's lines with those of included files in place, which Paramiko would pass over."""
    found: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        keyword, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() != "include" or depth >= DEEPEST_INCLUDE:
            found.append(line)
            continue
        for pattern in rest.split():
            full = folder / Path(pattern.strip('"')).expanduser()
            for name in sorted(glob(str(full))):  # noqa: PTH207  (the pattern may be absolute)
                found += _lines(Path(name), folder, depth + 1)
    return found


def _unusable(target: SshTarget, reason: str) -> BadUse:
    return BadUse(
        f"the SSH configuration for {target.host} can't be used: {reason}",
        node=target.node,
        step="connect",
        tried=f"reading {target.config_file}",
        hint=f"correct {target.config_file}, or set ssh.use_config to false for this node",
    )
