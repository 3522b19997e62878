"""Files of a node, and how it is known what a unit runs with.

Right before a unit starts, the node leaves a digest of its unit file and of everything that it reads under
/run/clusterup/applied. A unit has to be restarted exactly when that is not the digest of what it should run with,
whoever changed files or restarted units, and whatever was interrupted in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A file on a node: absolute `path`, `mode` as in chmod, owned by root. Its content is never shown."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def digest_of(files: Iterable[NodeFile]) -> str:
    """SHA-256 of what sha256sum(1) says of the files, which are given to it in the order of their paths."""
    said = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda file: file.path))
    return hashlib.sha256(said.encode()).hexdigest()
