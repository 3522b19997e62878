"""What a simulated machine is: whatever lets somebody in over SSH and answers scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script ended with: its exit status and both outputs."""

    status: int
    stdout: bytes = b""
    stderr: bytes = b""


class Machine(Protocol):
    """A machine behind an SSH server of `tests.simulator.machines.ssh`. Its methods are called from several threads."""

    @property
    def name(self) -> str:
        """What the fleet calls it."""
        ...

    @property
    def host_key(self) -> bytes:
        """Its private host key in OpenSSH's PEM format. Read at each new connection: another system that the machine
        boots may have another one."""
        ...

    def lets_in(self, user: str, public_key_line: str) -> bool:
        """Whether that user may log in with that key ("ssh-ed25519 AAAA..."). Must not block."""
        ...

    def run(self, script: str, stdin: bytes) -> Answer:
        """What the POSIX script comes to. Called in a worker thread, and may block."""
        ...

    def leads_to(self, host: str, port: int) -> tuple[str, int] | None:
        """Where a connection to host:port, as seen from the machine, leads to on this one; None refuses it. Must not
        block."""
        ...
