"""Machines that are in no inventory join a simulated cluster with a token, as typed. Prints, as JSON, what each command
said and what came of it.

`python -m tests.simulator.joins FOLDER`; in a process of its own, because it forks.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.pki.token import ca_pin, new_token
from tests.simulator.operator import Event, Strike, kill_myself
from tests.simulator.sweep import Ground, Shape, Trial, address_of, host_of

STRANGERS = ("j1", "j2")
HOUR = 3600.0


@dataclass
class Joins:
    """A cluster of one server, machines that are not in its inventory, and a token."""

    ground: Ground
    trial: Trial
    token: str = field(default_factory=lambda: new_token().reveal())
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def pin(self) -> str:
        return ca_pin((self.trial.folder / "state/clusterup/clusters/sim/pki/ca.crt").read_bytes())

    def join(self, machine: str, *more: str, strike: Strike = lambda _: None, **how: str) -> int:
        """clusterup join as typed; `more` comes last, so that it wins."""
        environment = {"CLUSTERUP_TOKEN": self.token, **how}
        return self.trial.clusterup(*self.typed(machine, *more), strike=strike, **environment)

    def typed(self, machine: str, *more: str) -> list[str]:
        """The words of clusterup join for a machine of the ground's strangers, without the token."""
        number = [*self.ground.shape.names, *self.ground.strangers].index(machine)
        (port,) = self.trial.wire.do("look")["api"]
        address = address_of(number)
        place = [
            "join",
            host_of(number),
            "--address",
            address,
            "--name",
            machine,
            "--port",
            str(self.trial.port),
            "--key",
            "key",
        ]
        host_key = self.ground.live_keys[machine].public
        given = [*place, "--server", f"https://127.0.0.1:{port}", "--host-key", host_key, "--disk", "/dev/vda", "--yes"]
        pin = [] if "--ca-cert-hash" in more else ["--ca-cert-hash", self.pin]
        bundle = [] if "--bundle" in more else ["--bundle", str(self.ground.bundle.directory)]
        return [*given, *pin, *bundle, "-o", "json", *more]

    def write_down(self, machine: str) -> None:
        """The operator adds a machine to the inventory."""
        file = self.trial.folder / "sim.yaml"
        document = json.loads(file.read_text())
        number = [*self.ground.shape.names, *STRANGERS].index(machine)
        way = {
            **document["nodes"][0]["ssh"],
            "host": host_of(number),
            "host_key": self.ground.live_keys[machine].public,
        }
        node = {"name": machine, "address": address_of(number), "disk": "/dev/vda", "ssh": way}
        file.write_text(json.dumps({**document, "nodes": [*document["nodes"], node]}))

    def tell(self, name: str, code: int) -> None:
        """Keep what the last command said and ended with, and what is so now."""
        said = self.trial.log.read_text().rpartition("$ clusterup ")[2]
        self.seen[name] = {"code": code, "said": said, "site": self.trial.wire.do("look")}


def killed_at(event: str, action: str) -> Strike:
    def strike(told: Event) -> None:
        if told["event"] == event and told.get("id") == action:
            kill_myself()

    return strike


def main(folder: Path) -> dict[str, Any]:
    """All of it, one after the other."""
    ground = Ground.prepared(folder, Shape(servers=1, agents=0), STRANGERS)
    with ground.trial() as trial:
        joins = Joins(ground, trial)
        joins.tell("apply", trial.apply())
        joins.tell("unknown token", joins.join("j1", who="-else"))
        trial.wire.do("token", joins.token, HOUR)
        joins.tell("wrong pin", joins.join("j1", "--ca-cert-hash", f"sha256:{'0' * 64}", who="-else"))
        joins.tell("no such disk", joins.join("j1", "--disk", "/dev/vdz", who="-else"))
        joins.tell("other address", joins.join("j1", "--address", "10.78.9.9", who="-else"))
        joins.tell("dry run", joins.join("j1", "--dry-run", who="-else"))
        for number, (event, action) in enumerate(
            (("ActionDone", "j1/install.configuration"), ("ActionStarted", "j1/files"), ("ActionStarted", "j1/join"))
        ):
            code = joins.join("j1", "--label", "disk=ssd", strike=killed_at(event, action), who="-else")
            joins.tell(f"killed {number}", code)
        joins.tell("joined", joins.join("j1", "--label", "disk=ssd", who="-else"))
        joins.tell("again", joins.join("j1", "--label", "disk=ssd", who="-else"))
        joins.tell("name taken", joins.join("j2", "--name", "j1", who="-third"))
        joins.tell("no operator", trial.clusterup("plan", "sim.yaml", who="-else"))
        joins.tell("by the operator", joins.join("j2"))
        joins.tell("plan", trial.clusterup("plan", "sim.yaml", "--detailed-exitcode"))
        joins.write_down("j2")
        joins.tell("written down", trial.clusterup("plan", "sim.yaml", "-o", "json"))
        trial.wire.do("jump", seconds=HOUR + 60)
        joins.tell("expired", joins.join("j2"))
        joins.seen["token"] = joins.token
        joins.seen["log"] = trial.log.read_text()
        journals = trial.folder.glob("state*/clusterup/clusters/sim/journal.jsonl")
        joins.seen["journals"] = [path.read_text() for path in journals]
    return joins.seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
