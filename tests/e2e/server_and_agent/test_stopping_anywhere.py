"""clusterup killed, machines cut from their power: the next apply goes on.

CLUSTERUP_SEED chooses where clusterup is killed, CLUSTERUP_KILLS how often at most, CLUSTERUP_KILL_SECONDS for how long
it goes on.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, SERVER
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
KILLS = int(os.environ.get("CLUSTERUP_KILLS", "6"))
KILL_SECONDS = float(os.environ.get("CLUSTERUP_KILL_SECONDS", "300"))
SEED = int(os.environ.get("CLUSTERUP_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
# What the installed system says on the console while it makes its partitions, and the live environment never does.
FIRST_BOOT = b"Repartition Root Disk"
Boundary = tuple[str, str]
# Once, the next apply refused the disk that was written by then, because it held data.
FOUND_BEFORE: set[Boundary] = {("ActionDone", f"{AGENT}/install.configuration")}
Event = dict[str, Any]


@dataclass
class Strikes:
    """What is done to whom while applies run: where clusterup is to be killed and where it was, and which machines lost
    their power at which moment."""

    operator: Operator
    boundaries: set[Boundary]
    until: float
    cuts: dict[str, str] = field(default_factory=lambda: {AGENT: "image", SERVER: "boot"})
    killed: list[Boundary] = field(default_factory=list)

    def strikes(self, event: Event) -> bool:
        """Cut a machine's power when its moment has come; whether clusterup is to be killed now."""
        self._cut(event)
        boundary = (str(event.get("event")), str(event.get("id")))
        # However slow the machine, once at least.
        late = bool(self.killed) and time.monotonic() > self.until
        if boundary not in self.boundaries or late:
            return False
        self.boundaries.discard(boundary)
        self.killed.append(boundary)
        return True

    def _cut(self, event: Event) -> None:
        for node, moment in list(self.cuts.items()):
            if moment == "image" and event.get("id") == f"{node}/install.image" and event.get("total"):
                due = event["done"] > event["total"] / 4
            else:
                due = (
                    moment == "boot" and event["event"] == "ActionStarted" and event.get("id") == f"{node}/install.boot"
                )
            if due:
                del self.cuts[node]
                if moment == "boot":
                    wait_for(lambda node=node: self._boots(node), f"the first boot of {node}", 300)  # type: ignore[misc]
                self.operator.clusterup("lab", "stop", node, "--name", self.operator.name)
                if moment == "boot":
                    # An apply waits a quarter of an hour for a machine that boots: it has its power back before.
                    self.operator.clusterup("lab", "up", "--name", self.operator.name, "--inventory", "lab.yaml")

    def _boots(self, node: str) -> bool:
        (console,) = self.operator.state.glob(f"clusterup/labs/*/{node}/console.log")
        return FIRST_BOOT in console.read_bytes()


def apply(operator: Operator, strikes: Strikes) -> int | None:
    """One apply: its exit code, or None when it was killed."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        operator.begins("apply", "lab.yaml", "--yes", "-o", "json", "--wait-for-lock", stderr=errors) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line) if line.startswith("{") else {"event": ""}
            if strikes.strikes(event):
                sys.stdout.write(f"killed at {event['event']} {event['id']}\n")
                return None
        code = process.wait()
        errors.seek(0)
        sys.stdout.write(f"apply ended with {code}\n{errors.read()}")
        return code


def test_killed_at_any_boundary_and_with_machines_that_lose_their_power_it_ends_ready(lab: Operator) -> None:
    planned = json.loads(lab.clusterup("plan", "lab.yaml", "-o", "json").splitlines()[-1])["actions"]
    every = [(kind, action["id"]) for action in planned for kind in ("ActionStarted", "ActionDone")]
    chosen = {*random.Random(SEED).sample(every, min(KILLS, len(every))), *FOUND_BEFORE}
    strikes = Strikes(lab, set(chosen), time.monotonic() + KILL_SECONDS)
    applies, code = 0, None
    while code != 0 and applies < len(chosen) + 6:
        applies += 1
        code = apply(lab, strikes)
        if code != 0:
            # Machines whose power was cut are switched on again, by a person who saw what the apply said.
            lab.clusterup("lab", "up", "--name", lab.name, "--inventory", "lab.yaml")
    sys.stdout.write(
        f"seed {SEED}: {len(every)} boundaries, killed at {len(strikes.killed)}, 2 power cuts, {applies} applies\n"
        + "".join(f"  killed at {kind} {name}\n" for kind, name in strikes.killed)
    )
    assert code == 0
    assert strikes.killed
    assert strikes.cuts == {}
    assert "nothing to do" in lab.clusterup("apply", "lab.yaml", "--yes")
    status = lab.status()
    assert status["healthy"], status
    assert {node["name"]: node["state"] for node in status["nodes"]} == {SERVER: "Ready", AGENT: "Ready"}


def test_no_machine_was_installed_again_once_it_ran_the_installed_system(lab: Operator) -> None:
    (journal,) = lab.state.glob(f"clusterup/clusters/{lab.name}/journal.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    for node in (SERVER, AGENT):
        begun = [event for event in events if event["event"] == "ActionStarted" and event["node"] == node]
        written = [event["time"] for event in begun if event["id"] == f"{node}/install.image"]
        # What else is done is done on the installed system.
        installed = [event["time"] for event in begun if not event["id"].startswith(f"{node}/install.")]
        assert written
        assert installed
        assert max(written) < min(installed)
