"""The person's SSH agent: the usual one, or the one that the SSH configuration names (IdentityAgent)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bootstrap.transport.target import Hop

if TYPE_CHECKING:
    import paramiko

# An agent that asks a person (a hardware token) answers when they have pressed the button.
SECONDS = 60.0


@dataclass(frozen=True)
class AgentKeys:
    """The keys that an agent holds, or why it can't be asked."""

    keys: tuple[paramiko.AgentKey, ...] = ()
    trouble: str = ""


@contextmanager
def agent_of(hop: Hop) -> Iterator[AgentKeys]:
    """The agent that a hop is logged in to with, for as long as the block lasts; without keys where there is none."""
    import paramiko
    from paramiko.agent import AgentSSH

    if not hop.agent:
        yield AgentKeys()
        return
    if hop.agent_socket is None:
        usual = paramiko.Agent()
        try:
            yield AgentKeys(usual.get_keys())
        finally:
            usual.close()
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
        way.settimeout(SECONDS)
        # Paramiko itself looks at $SSH_AUTH_SOCK alone.
        named: Any = AgentSSH()
        try:
            way.connect(hop.agent_socket)
            named._connect(way)
            found = AgentKeys(named.get_keys())
        except (paramiko.SSHException, OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            found = AgentKeys(trouble=f"{hop.agent_socket}: {why or error or type(error).__name__}")
        yield found
