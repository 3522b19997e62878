"""A node that left comes back."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.operator import Operator


def comes_back(grown: Operator, node: dict[str, Any]) -> list[str]:
    """Write the node into the inventory again and apply; the ids of what was done."""
    grown.edits(lambda content: content["nodes"].append(node))
    said = grown.clusterup("apply", "lab.yaml", "--yes", "-o", "json")
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [event["id"] for event in events if event["event"] == "ActionDone"]
