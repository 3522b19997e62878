"""The agent of a node as nodes have it: one file that Python runs."""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from pathlib import Path

from bootstrap.image.agent import agent_archive


def agent(*arguments: str) -> list[str]:
    """The command that runs it as `clusterup-node ARGUMENTS` does on a node."""
    return [sys.executable, "-I", str(_file()), *arguments]


@cache
def _file() -> Path:
    place = Path(tempfile.mkdtemp(prefix="clusterup-agent-")) / "node.pyz"
    place.write_bytes(agent_archive())
    # Some tests run it as another user.
    place.parent.chmod(0o755)
    return place
