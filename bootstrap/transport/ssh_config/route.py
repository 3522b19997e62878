"""From what the operator said and the SSH configuration to the hops of the way to a node."""

from __future__ import annotations

import getpass
from dataclasses import replace

from bootstrap.errors import BadUse
from bootstrap.transport.ssh_config.openssh import Configured, Unusable, configured
from bootstrap.transport.target import Hop, SshTarget, place_of

LONGEST_WAY = 8
DEFAULT_PORT = 22


def route(target: SshTarget) -> tuple[Hop, ...]:
    """The SSH servers to pass, the nearest first, the node's own last.

    Of the configuration HostName, Port, User, IdentityFile, IdentitiesOnly, IdentityAgent and ProxyJump count, as
    OpenSSH reads them; what the target says itself wins. Raises BadUse when the configuration can't be used.
    """
    settings = _settings(target)
    last = _hop(target, settings, pin_name=target.node, default_user="root")
    return (*_jump_hops(target, settings, 1), last)


def _jump_hops(target: SshTarget, settings: Configured, depth: int) -> tuple[Hop, ...]:
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


def _hop(target: SshTarget, settings: Configured, *, pin_name: str, default_user: str) -> Hop:
    return Hop(
        pin_name=pin_name,
        node=target.node,
        host=settings.host,
        port=settings.port,
        user=target.user or settings.user or default_user,
        keys=tuple(key.expanduser() for key in target.keys or settings.keys),
        own=target.own,
        password=target.password,
        passphrase=target.passphrase,
        agent=target.agent and settings.agent != "",
        agent_socket=settings.agent or None,
        only_keys=settings.only_keys,
        unused=settings.unused,
        host_key=target.host_key,
    )


def _proxy_jumps(target: SshTarget, settings: Configured) -> tuple[SshTarget, ...]:
    if settings.command is not None:
        raise _unusable(target, "it sets ProxyCommand, which is not supported (ProxyJump is)")
    if settings.jumps is None:
        return ()
    return tuple(_jump(target, item.strip()) for item in settings.jumps.split(","))


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


def _settings(target: SshTarget) -> Configured:
    if not target.use_config:
        return Configured(target.host, target.port or DEFAULT_PORT, target.user)
    try:
        return configured(target.host, target.config_file, user=target.user, port=target.port)
    except Unusable as error:
        raise _unusable(target, str(error)) from None


def _unusable(target: SshTarget, reason: str) -> BadUse:
    return BadUse(
        f"the SSH configuration for {target.host} can't be used: {reason}",
        node=target.node,
        step="connect",
        tried=f"reading {target.config_file}, as `ssh -G {target.host}` does",
        hint=f"correct {target.config_file}, or set ssh.use_config to false for this node",
    )
