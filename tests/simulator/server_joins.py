"""Machines that are in no inventory join a simulated cluster as servers, with tokens, as typed. Prints, as JSON, what
each command said and what came of it.

`python -m tests.simulator.server_joins FOLDER`; in a process of its own, because it forks.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.pki.token import ca_pin
from bootstrap.protocol.lease_lock import LEASE_SECONDS
from tests.simulator.joins import killed_at
from tests.simulator.operator import Event, Strike, shorten_waits
from tests.simulator.sweep import Ground, Shape, Trial, address_of, host_of

STRANGERS = ("s2", "s3", "s4")
SAID = "$ clusterup "


@dataclass
class Joins:
    """A cluster of one server and an agent, machines that are not in its inventory, and what was said."""

    ground: Ground
    trial: Trial
    secrets: list[str] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)

    def token(self, inventory: str = "sim.yaml", who: str = "", *role: str) -> str:
        """A new token, as an operator makes it."""
        self.trial.clusterup("token", "create", inventory, *(role or ("--role", "server")), who=who)
        made = re.findall(r"--token (\S+)", self.trial.log.read_text())[-1]
        self.secrets.append(made.partition(".")[2])
        return str(made)

    def join(self, machine: str, token: str, *more: str, who: str, strike: Strike = lambda _: None) -> int:
        """clusterup join as typed; `more` comes last, so that it wins."""
        number = [*self.ground.shape.names, *STRANGERS].index(machine)
        port = self.trial.wire.do("look")["api"][0]
        address = address_of(number)
        pin = ca_pin((self.trial.folder / "state/clusterup/clusters/sim/pki/ca.crt").read_bytes())
        return self.trial.clusterup(
            *("join", host_of(number), "--address", address, "--name", machine, "--port", str(self.trial.port)),
            *("--key", "key", "--host-key", self.ground.live_keys[machine].public, "--disk", "/dev/vda", "--yes"),
            *("--server", f"https://127.0.0.1:{port}", "--ca-cert-hash", pin, "-o", "json"),
            *("--bundle", str(self.ground.bundle.directory), *more),
            strike=strike,
            who=who,
            CLUSTERUP_TOKEN=token,
        )

    def apply(self, inventory: str, who: str) -> int:
        self.trial.wire.do("jump", seconds=LEASE_SECONDS + 1)
        return self.trial.clusterup("apply", inventory, "--yes", "-o", "json", who=who)

    def tell(self, name: str, code: int) -> None:
        """Keep what the last command said and ended with, and what is so now."""
        said = self.trial.log.read_text().rpartition(SAID)[2]
        kept = sorted(str(path.relative_to(self.trial.folder)) for path in self.trial.folder.glob("state*/*/*/*"))
        files = sorted(path.name for path in self.trial.folder.glob("*.yaml"))
        site = self.trial.wire.do("look")
        self.seen[name] = {"code": code, "said": said, "site": site, "kept": kept, "files": files}


def off_when(trial: Trial, machine: str, action: str, command: str) -> Strike:
    """The machine loses its power when a command of that name has run on it, in that action."""
    begun: list[bool] = []

    def strike(told: Event) -> None:
        if told["event"] == "ActionStarted" and told.get("id") == action:
            begun.append(True)
        elif begun and told["event"] == "CommandRan" and (told["node"], told["name"]) == (machine, command):
            begun.clear()
            trial.wire.do("off", machine)

    return strike


def main(folder: Path) -> dict[str, Any]:
    """All of it, one after the other."""
    ground = Ground.prepared(folder, Shape(servers=1, agents=1), STRANGERS)
    with ground.trial() as trial:
        joins = Joins(ground, trial)
        joins.tell("apply", trial.apply())
        first = joins.token()
        joins.tell("dry run", joins.join("s2", first, "--dry-run", who="-else"))
        joins.tell("name taken", joins.join("s2", first, "--name", "a1", who="-else"))
        joins.tell("other address", joins.join("s2", first, "--address", "10.78.9.9", who="-else"))
        joins.tell("no such disk", joins.join("s2", first, "--disk", "/dev/vdz", who="-else"))
        (trial.folder / "mine.yaml").write_text("mine: true\n")
        joins.tell("a file of somebody's", joins.join("s2", first, "--inventory", "mine.yaml", who="-else"))
        strike = killed_at("ActionStarted", "s2/etcd.member")
        joins.tell("killed", joins.join("s2", first, "--inventory", "two.yaml", who="-else", strike=strike))
        joins.tell("once more", joins.join("s2", first, "--inventory", "two.yaml", who="-else"))
        joins.tell("applied", joins.apply("two.yaml", "-else"))
        joins.tell("plan", trial.clusterup("plan", "two.yaml", "--detailed-exitcode", who="-else"))
        stale = joins.token("sim.yaml")
        joins.tell("stale", joins.join("s3", stale, "--inventory", "three.yaml", who="-third"))
        second = joins.token("two.yaml", "-else")
        trial.before = shorten_waits
        strike = off_when(trial, "s3", "s3/etcd.member", "write files")
        joins.tell("failed", joins.join("s3", second, "--inventory", "three.yaml", who="-third", strike=strike))
        trial.wire.do("on")
        joins.tell("fixed", joins.apply("three.yaml", "-third"))
        third = joins.token("three.yaml", "-third")
        trial.wire.do("off", "s3")
        joins.tell("unhealthy", joins.join("s4", third, "--inventory", "four.yaml", who="-fourth"))
        trial.wire.do("on")
        own = joins.join("s4", third, "--inventory", "three.yaml", who="-third")
        joins.tell("by an operator", own)
        agent = joins.token("three.yaml", "-third", "--role", "agent")
        joins.tell("an agent's token", joins.join("s4", agent, "--inventory", "five.yaml", who="-fifth"))
        joins.seen["written"] = {path.name: path.read_text() for path in trial.folder.glob("*.yaml")}
        joins.seen["secrets"] = joins.secrets
        journals = trial.folder.glob("state*/clusterup/clusters/sim/journal.jsonl")
        joins.seen["journals"] = [path.read_text() for path in journals]
    return joins.seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
