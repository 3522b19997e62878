"""The shapes in which scenarios find their lab."""

from __future__ import annotations

import json
import signal
from typing import Any

import yaml

from tests.e2e.labs import Shape
from tests.e2e.operator import Operator
from tests.helpers.daemons import wait_for

SERVERS = ("server-1", "server-2", "server-3")
SERVER, AGENT = "server-1", "agent-1"
# Nothing but its console leads into it while it is bare.
BY_CONSOLE = "server-3"
PLAN, APPLIED = "plan.json", "applied.jsonl"


def form(operator: Operator) -> None:
    """What `clusterup apply` makes of the bare machines, as a saved plan says. What was done stands in `APPLIED`."""
    operator.clusterup("plan", "lab.yaml", "--out", PLAN)
    said = operator.clusterup("apply", "--plan", PLAN, "--yes", "-o", "json")
    (operator.folder / APPLIED).write_text(said)
    _gets_healthy(operator)


def form_one(operator: Operator) -> None:
    """The server alone becomes a cluster, and the agent's machine stays bare."""
    operator.edits(lambda content: content.update(nodes=[n for n in content["nodes"] if n["name"] != AGENT]))
    join_all(operator)


def install(operator: Operator) -> None:
    """An apply that is interrupted when the last machine is about to start its installed system, so that it ends there:
    one thing at a time, installing comes first."""
    last = {node["name"] for node in yaml.safe_load(operator.inventory.read_bytes())["nodes"]}
    with operator.begins("apply", "lab.yaml", "--yes", "--parallel", "1", "-o", "json") as process:
        assert process.stdout is not None
        begun = set()
        for line in process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "ActionStarted" and event["step"] == "boot":
                begun.add(event["node"])
                if begun == last:
                    process.send_signal(signal.SIGINT)
        assert process.wait() == 130


def join_all(operator: Operator) -> None:
    """Whatever is missing, an apply makes it."""
    operator.clusterup("apply", "lab.yaml", "--yes")
    _gets_healthy(operator)


def is_settled(operator: Operator) -> bool:
    """Whether all is as the inventory says."""
    return planned(operator) == []


def is_installed(operator: Operator) -> bool:
    """Whether nothing has to be installed any more."""
    left = planned(operator)
    return left is not None and not [action for action in left if "/install." in action["id"]]


def planned(operator: Operator) -> list[dict[str, Any]] | None:
    """What an apply would do; None where it would be refused."""
    said = operator.runs("plan", "lab.yaml", "-o", "json")
    if said.returncode != 0:
        return None
    actions: list[dict[str, Any]] = json.loads(said.stdout.splitlines()[-1])["actions"]
    return actions


def _gets_healthy(operator: Operator) -> None:
    wait_for(lambda: bool(operator.status()["healthy"]), "the cluster to be healthy", 600)


_THREE = ("--servers", "3", "--agents", "0", "--by-console", BY_CONSOLE)
_TWO = ("--servers", "1", "--agents", "1", "--second-disk", f"{AGENT}=1")
THREE_BARE = Shape("three-bare", "e2e", _THREE)
THREE_SERVERS = Shape("servers", "e2e", _THREE, THREE_BARE, form, is_settled)
TWO_BARE = Shape("two-bare", "pair", _TWO)
ONE_SERVER = Shape("one-server", "pair", _TWO, TWO_BARE, form_one, is_settled)
INSTALLED = Shape("installed", "pair", _TWO, TWO_BARE, install, is_installed)
SERVER_AND_AGENT = Shape("server-and-agent", "pair", _TWO, INSTALLED, join_all, is_settled)
SHAPES = (THREE_BARE, THREE_SERVERS, TWO_BARE, ONE_SERVER, INSTALLED, SERVER_AND_AGENT)
