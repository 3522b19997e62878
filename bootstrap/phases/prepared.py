"""What a command is about to do, before it does it."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.engine.plan import Plan
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts


@dataclass(frozen=True)
class Prepared:
    """What was found, what speaks against going on, and what would be done."""

    world: ClusterFacts
    problems: tuple[ClusterupError, ...]
    plan: Plan[ClusterFacts]


def erases(plan: Plan[ClusterFacts]) -> frozenset[str]:
    """The nodes whose disks the plan erases."""
    return frozenset(item.action.node for item in plan.items if item.action.node and item.action.erases)
