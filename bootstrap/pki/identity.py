"""What makes a machine this node and no other: kept by the operator, given to the node with its configuration."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from bootstrap.pki.sshkeys import SshKey


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A node's machine id (machine-id(5)) and the host key of its installed system."""

    machine_id: str
    host_key: SshKey


def new_id() -> bytes:
    """32 hexadecimal digits, chosen at random."""
    return uuid.uuid4().hex.encode()
