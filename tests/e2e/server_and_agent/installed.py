"""What is on a node."""

from __future__ import annotations

from bootstrap.phases.reset.commands import state_of_files
from tests.e2e.operator import Operator

Files = list[str]


def files_on(lab: Operator, node: str) -> Files:
    """What is on a node, but for what each boot writes again."""
    return lab.runs_on(node, state_of_files().script).splitlines()
