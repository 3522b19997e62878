"""What an apply fixes, and with which restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bootstrap.facts.model import ClusterFacts
from tests.e2e.operator import Operator


@dataclass(frozen=True)
class Fixed:
    """What was planned and done (ids without those of the handover), in the order of the ends, with the events, and the
    units that were restarted for it, as in "server-1/etcd.service"."""

    done: tuple[str, ...]
    events: list[dict[str, Any]]
    restarted: frozenset[str]


def fix(cluster: Operator) -> Fixed:
    """Plan, apply, and plan again: apply does what plan said, and nothing is left after it."""
    planned = json.loads(cluster.clusterup("plan", "lab.yaml", "-o", "json").splitlines()[-1])["actions"]
    _, before = cluster.looks()
    said = cluster.clusterup("apply", "lab.yaml", "--yes", "-o", "json")
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    done = [event["id"] for event in events if event["event"] == "ActionDone"]
    assert sorted(done) == sorted(action["id"] for action in planned)
    _, after = cluster.looks()
    assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")
    restarted = restarts(before, after)
    print("restarted:", ", ".join(sorted(restarted)) or "nothing")
    return Fixed(tuple(name for name in done if not name.endswith("/handover")), events, restarted)


def restarts(before: ClusterFacts, after: ClusterFacts) -> frozenset[str]:
    return frozenset(
        f"{name}/{unit}"
        for name, facts in after.nodes.items()
        for unit, found in facts.units.items()
        if found.since != before.nodes[name].units[unit].since
    )
