"""What makes a machine this node and no other: kept by the operator, given to the node with its configuration."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from bootstrap.pki.sshkeys import SshKey, kept_ssh_key
from bootstrap.pki.store import read_if_there, write_once


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A node's machine id (machine-id(5)) and the host key of its installed system."""

    machine_id: str
    host_key: SshKey


def kept_id(path: Path) -> str:
    """The 32 hexadecimal digits in the file at `path`, chosen at random where there is none yet."""
    found = read_if_there(path) or write_once(path, uuid.uuid4().hex.encode())
    return found.decode().strip()


def kept_identity(folder: Path) -> NodeIdentity:
    """The identity kept in `folder`, made where there is none yet."""
    return NodeIdentity(kept_id(folder / "machine-id"), kept_ssh_key(folder / "ssh_host_ed25519_key"))
