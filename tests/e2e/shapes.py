"""The shapes in which scenarios find their lab."""

from __future__ import annotations

from tests.e2e.labs import Shape
from tests.e2e.operator import Operator

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


def form_one(operator: Operator) -> None:
    """The server alone becomes a cluster, and the agent's machine stays bare."""
    operator.edits(lambda content: content.update(nodes=[n for n in content["nodes"] if n["name"] != AGENT]))
    operator.clusterup("apply", "lab.yaml", "--yes")


def add_the_agent(operator: Operator) -> None:
    """The operator adds the agent to the inventory later."""
    operator.clusterup("lab", "up", "--name", operator.name, "--inventory", "machines.yaml")
    machines = (operator.folder / "machines.yaml").read_text()
    operator.inventory.write_text(machines)
    operator.clusterup("apply", "lab.yaml", "--yes")


_THREE = ("--servers", "3", "--agents", "0", "--by-console", BY_CONSOLE)
_TWO = ("--servers", "1", "--agents", "1")
THREE_BARE = Shape("three-bare", "e2e", _THREE)
THREE_SERVERS = Shape("three-servers", "e2e", _THREE, THREE_BARE, form)
TWO_BARE = Shape("two-bare", "pair", _TWO)
ONE_SERVER = Shape("one-server", "pair", _TWO, TWO_BARE, form_one)
SERVER_AND_AGENT = Shape("server-and-agent", "pair", _TWO, ONE_SERVER, add_the_agent)
