"""Why an action on a node has to be done: the reasons that many steps share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.machine.units import Runs

# systemd's ActiveState of what does not run.
STOPPED = ("inactive", "failed")
NOT_INSTALLED = "the micro OS is not on it yet"


def judged(node: str, reason: Callable[[NodeFacts, ClusterFacts], str | None]) -> Callable[[ClusterFacts], str | None]:
    """The check of an action on an installed node: `reason` is asked about a node that runs the micro OS; one that
    does not run it yet needs the action anyway; one that can't be reached is left alone."""

    def check(world: ClusterFacts) -> str | None:
        facts = world.nodes.get(node)
        if facts is None:
            return None
        return reason(facts, world) if facts.kind == "installed" else NOT_INSTALLED

    return check


def differing(wanted: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """Which files (path -> SHA-256) are missing or other than wanted, in words; None where all are there."""
    other = sorted(path for path, digest in wanted.items() if found.get(path) != digest)
    if not other:
        return None
    missing = [path for path in other if path not in found]
    word = "missing" if len(missing) == len(other) else "missing or different"
    return f"{other[0]} is {word}" if len(other) == 1 else f"{len(other)} files are {word}, {other[0]} among them"


def readable_by_others(wanted: Mapping[str, int], found: Mapping[str, int]) -> str | None:
    """Which files (path -> mode as in chmod) have another mode than wanted, in words; None where none has."""
    for path in sorted(wanted):
        if path in found and found[path] != wanted[path]:
            return f"{path} has mode {found[path]:04o}, not {wanted[path]:04o}"
    return None


def running(units: Iterable[str], facts: NodeFacts) -> str | None:
    """Which of the units run, that are not wanted, in words; None where none does."""
    found = [name for name in units if name in facts.units and facts.units[name].active not in STOPPED]
    return f"{' and '.join(found)} should not run" if found else None


def not_running(units: Iterable[Runs], facts: NodeFacts) -> str | None:
    """Which units do not run, or run with other settings than wanted, in words; None where all are well."""
    for unit in units:
        found = facts.units.get(unit.name)
        if found is None or found.active != "active":
            return f"{unit.name} is {found.active if found else 'not there'}"
        if found.applied != unit.digest:
            return f"{unit.name} runs with other settings"
    return None
