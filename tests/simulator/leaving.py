"""A server leaves a simulated cluster, while clusterup is killed at boundaries of that.

As a program (`python -m tests.simulator.leaving FOLDER --sample 4`): prints what each trial came to, as JSON lines.
With `--alive` the server's machine is on, and is cleaned.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootstrap.protocol.lease_lock import LEASE_SECONDS
from tests.simulator.operator import Event, Strike, kill_myself
from tests.simulator.sweep import BOUNDARIES, Ground, Shape, Trial

LEAVER = "s3"
STAY = ("s1", "s2", "a1")
INVENTORY = "sim.yaml"
Moment = tuple[str, str]
"""What an event is called, and the action's id: each action begins and ends once."""


@dataclass(frozen=True)
class Left:
    """What came of a trial: what clusterup was killed at, the exit codes of the commands that removed the server, and
    what is not as it should be."""

    moment: Moment | None
    codes: tuple[int, ...]
    problems: tuple[str, ...]
    moments: tuple[Moment, ...] = ()


def leave(ground: Ground, machine: str, moment: Moment | None = None) -> Left:
    """Make the cluster, remove a server whose machine is switched "on" or "off" before (killed at `moment`, then once
    more), and look."""
    with ground.trial() as trial:
        _allow_even(trial)
        if trial.apply():
            return Left(moment, (), (f"no cluster: {trial.log.read_text()[-3000:]}",))
        written = trial.folder.joinpath(INVENTORY).read_text()
        trial.wire.do(machine, LEAVER)
        before = len(_events(trial))
        struck = trial.folder / "struck"
        codes = [_remove(trial, _strike(moment, struck))]
        seen = [each for event in _events(trial)[before:] if (each := _moment(event))[0] in BOUNDARIES]
        if moment is not None:
            trial.wire.do("jump", seconds=LEASE_SECONDS + 1)
            codes.append(_remove(trial, lambda _: None))
        problems = [*_problems(trial, written, codes), *([] if moment is None or struck.exists() else ["never killed"])]
        if not problems:
            shutil.rmtree(trial.folder)
    return Left(moment, tuple(codes), tuple(problems), tuple(seen))


def _events(trial: Trial) -> list[Event]:
    return [json.loads(line) for line in trial.log.read_text().splitlines() if line.startswith("{")]


def _moment(event: Event) -> Moment:
    return event["event"], str(event.get("id"))


def _remove(trial: Trial, strike: Strike) -> int:
    return trial.clusterup("remove", LEAVER, INVENTORY, "--yes", "-o", "json", strike=strike)


def _allow_even(trial: Trial) -> None:
    place = trial.folder / INVENTORY
    document = json.loads(place.read_text())
    document["cluster"]["allow_even_servers"] = True
    place.write_text(json.dumps(document))


def _strike(moment: Moment | None, struck: Path) -> Strike:
    """Called in clusterup's own process, which shares nothing with this one but files."""

    def strike(event: Event) -> None:
        if _moment(event) == moment:
            struck.touch()
            kill_myself()

    return strike


def _problems(trial: Trial, written: str, codes: Sequence[int]) -> list[str]:
    problems = [] if codes[-1] == 0 else [f"remove ended with {codes}: {trial.log.read_text()[-3000:]}"]
    nodes = json.loads(trial.folder.joinpath(INVENTORY).read_text())["nodes"]
    if nodes != [node for node in json.loads(written)["nodes"] if node["name"] != LEAVER]:
        problems.append(f"the inventory has {[node['name'] for node in nodes]}")
    if trial.clusterup("plan", INVENTORY, "--prune", "--detailed-exitcode"):
        problems.append(f"the plan is not empty: {trial.log.read_text()[-3000:]}")
    if trial.clusterup("remove", LEAVER, INVENTORY, "--yes"):
        problems.append("it can't be removed once more")
    found: dict[str, Any] = trial.wire.do("look")
    problems += found["complaints"] + found["failures"]
    voters = [sorted(member["name"] for member in members if not member["learner"]) for members in found["clusters"]]
    if ["s1", "s2"] not in voters:
        problems.append(f"etcd's voters are {voters}")
    if found["nodes"] != dict.fromkeys(STAY, "True"):
        problems.append(f"the Nodes are {found['nodes']}")
    return problems


def main() -> None:
    """Run the trials."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alive", dest="machine", action="store_const", const="on", default="off")
    given = parser.parse_args()
    ground = Ground.prepared(given.folder, Shape(servers=3, agents=1))
    whole = leave(ground, given.machine)
    sys.stdout.write(json.dumps(asdict(whole)) + "\n")
    moments = whole.moments
    for moment in random.Random(given.seed).sample(moments, min(given.sample, len(moments))):
        sys.stdout.write(json.dumps(asdict(leave(ground, given.machine, moment))) + "\n")


if __name__ == "__main__":
    main()
