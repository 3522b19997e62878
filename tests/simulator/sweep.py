"""Everything that can interrupt an apply, tried at every boundary of its actions: does it converge all the same?

A trial begins with bare machines. At one boundary of the first apply something is done: clusterup is killed, or a
machine's connections are cut, or a machine loses its power. Then a person applies again until it is done, and what has
come of it is looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bootstrap.image.bundle import Bundle
from bootstrap.inventory.load import read_inventory
from bootstrap.operations.intent import intent_of
from bootstrap.phases.kubeconfig import kubeconfig_beside
from bootstrap.pki.sshkeys import SshKey, new_ssh_key
from bootstrap.protocol.lease_lock import LEASE_SECONDS
from bootstrap.state.cluster import ClusterState
from tests.helpers.daemons import free_ports
from tests.simulator.image import small_bundle
from tests.simulator.machines.process import Bare, Wire, no_threads, site_in_a_process
from tests.simulator.machines.ssh import private
from tests.simulator.operator import (
    Event,
    Strike,
    Stuck,
    Typed,
    as_it_is,
    import_everything,
    kill_myself,
    run_clusterup,
    shorten_waits,
)

CLUSTER = "sim"
MOST_APPLIES = 5
BOUNDARIES = ("ActionStarted", "ActionDone")
COMMANDS = ("CommandRan",)
Moment = tuple[str, str, int]
"""What an event is called, the action's id or the node and a command's name, and how often that was told before."""


class NotDone(Exception):
    """A trial did not come to its end."""


class What(StrEnum):
    """What happens at a boundary."""

    KILL = "kill"
    CUT = "cut"
    POWER = "power"


@dataclass(frozen=True)
class Shape:
    """How many machines a cluster has."""

    servers: int = 1
    agents: int = 1

    @property
    def names(self) -> list[str]:
        return [f"s{n}" for n in range(1, self.servers + 1)] + [f"a{n}" for n in range(1, self.agents + 1)]


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: how many applies it took after the first one, and what is not as it should be."""

    what: What
    moment: Moment
    applies: int
    problems: tuple[str, ...]
    seconds: float

    @property
    def converged(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        kind, name, before = self.moment
        again = f", time {before + 1}" if before else ""
        said = f"{self.what} at {kind} {name}{again}: {self.applies} more applies, {self.seconds:.1f} s"
        return said + "".join(f"\n    {problem}" for problem in self.problems)


@dataclass
class Ground:
    """What all trials begin with: keys, a bundle, and a state in which all certificates were made already."""

    folder: Path
    shape: Shape
    bundle: Bundle
    operator: SshKey
    live_keys: dict[str, SshKey]
    checks_tokens: bool = True
    strangers: tuple[str, ...] = ()
    _trials: int = field(default=0, init=False)

    @classmethod
    def prepared(cls, folder: Path, shape: Shape, strangers: tuple[str, ...] = ()) -> Ground:
        """Make it in an empty folder; no process has threads afterwards. `strangers` are machines that are not in the
        inventory."""
        import_everything()
        no_threads()
        ground = cls(
            folder,
            shape,
            small_bundle(folder / "bundle"),
            new_ssh_key(),
            {name: new_ssh_key() for name in (*shape.names, *strangers)},
            strangers=strangers,
        )
        with ground.trial() as trial:
            inventory = trial.folder / "sim.yaml"
            written = read_inventory(inventory)
            name = written.inventory.cluster.name
            state = ClusterState(folder / "state" / "clusterup" / "clusters" / name)
            place = kubeconfig_beside(inventory, name)
            intent_of(written.inventory, state, ground.bundle, place, written=written.content)
            state.keep_made()
        return ground

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        """Bare machines, switched on, and a person who has an inventory of them."""
        self._trials += 1
        folder = self.folder / f"trial-{self._trials}"
        folder.mkdir()
        if (self.folder / "state").exists():
            shutil.copytree(self.folder / "state", folder / "state")
        (port,) = free_ports(1)
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_bytes(self.operator.private)
        bare = [
            Bare(name, address_of(number), host_of(number), port, self.live_keys[name], self.operator.public)
            for number, name in enumerate((*self.shape.names, *self.strangers))
        ]
        ours = [each for each in bare if each.name not in self.strangers]
        (folder / "sim.yaml").write_text(self._inventory(ours))
        wire = site_in_a_process(self.bundle, bare, folder / "site.log")
        try:
            yield Trial(folder, wire, self.shape, port)
        finally:
            wire.end()

    def _inventory(self, bare: Sequence[Bare]) -> str:
        nodes = [
            {
                "name": each.name,
                "role": "server" if each.name.startswith("s") else "agent",
                "address": each.address,
                "disk": "/dev/vda",
                "labels": {"rack": "r1"},
                "ssh": {
                    "host": each.host,
                    "port": each.port,
                    "key": "key",
                    "host_key": each.live_key.public,
                    "use_config": False,
                },
            }
            for each in bare
        ]
        return json.dumps({"cluster": {"name": CLUSTER}, "os": {"bundle": str(self.bundle.directory)}, "nodes": nodes})


@dataclass
class Trial:
    """One person, their machines, which are reached at `port`, and their folder; `before` is called in each process of
    clusterup before its work."""

    folder: Path
    wire: Wire
    shape: Shape
    port: int
    before: Callable[[], None] = as_it_is

    @property
    def log(self) -> Path:
        return self.folder / "clusterup.log"

    def clusterup(self, *arguments: str, strike: Strike = lambda _: None, who: str = "", **more: str) -> int:
        """clusterup as typed: its exit code, -9 when it was killed. `who` is another person with a state of their own,
        `more` is in the environment too."""
        environment = {**self.environment, "XDG_STATE_HOME": str(self.folder / f"state{who}"), **more}
        return run_clusterup(Typed(arguments, environment, self.folder, self.log, strike, self.before))

    @property
    def environment(self) -> dict[str, str]:
        """What their programs find in it."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "LC_ALL": "C.UTF-8",
        }

    @property
    def journal(self) -> Path:
        """What was written down of the cluster's runs."""
        return self.folder / "state" / "clusterup" / "clusters" / CLUSTER / "journal.jsonl"

    def apply(self, strike: Strike = lambda _: None) -> int:
        return self.clusterup("apply", "sim.yaml", "--yes", "-o", "json", strike=strike)


def host_of(number: int) -> str:
    """Where the SSH server of the machine with that number is, apart from those of other simulations."""
    return f"127.78.0.{number + 1}"


def address_of(number: int) -> str:
    """The address of the machine with that number."""
    return private(host_of(number))


def moments(ground: Ground, kinds: Collection[str] = BOUNDARIES) -> list[Moment]:
    """Every moment of these kinds in an apply from bare machines to Ready nodes, in the order of one that nothing
    interrupts. Raises RuntimeError where that does not end well."""
    with ground.trial() as trial:
        code = trial.clusterup("apply", "sim.yaml", "--yes", "-o", "json")
        problems = problems_of(trial, ground)
        if code or problems:
            raise RuntimeError(f"exit code {code}; {'; '.join(problems)}\n{trial.log.read_text()[-6000:]}")
        lines = trial.log.read_text().splitlines()
    named = Named()
    found = [named(json.loads(line)) for line in lines if line.startswith("{")]
    return [moment for moment in found if moment[0] in kinds]


class Named:
    """Names each event as it comes: the same for the same apply."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[str, str]] = Counter()

    def __call__(self, event: Event) -> Moment:
        name = event["event"], event.get("id") or f"{event.get('node')}: {event.get('name')}"
        self._counted[name] += 1
        return (*name, self._counted[name] - 1)


def tried(ground: Ground, what: What, moment: Moment, before: Callable[[], None] | None = None) -> Outcome:
    """One trial. Its folder is left where it did not converge. `before` is called in each process of clusterup, in the
    place of what is called otherwise."""
    began = time.monotonic()
    with ground.trial() as trial:
        trial.before = before or (shorten_waits if what is What.POWER else as_it_is)
        applies, problems = 0, []
        try:
            applies = _struck_and_applied(trial, what, moment)
            problems = problems_of(trial, ground)
        except (Stuck, NotDone) as error:
            problems = [f"{error}: see {trial.log}", *trial.wire.do("look")["complaints"]]
        outcome = Outcome(what, moment, applies, tuple(problems), time.monotonic() - began)
        if outcome.converged:
            shutil.rmtree(trial.folder)
    return outcome


Tried = Callable[[Ground, What, Moment], Outcome]


def _struck_and_applied(trial: Trial, what: What, moment: Moment) -> int:
    """How many applies it took after the first. Raises NotDone where there would have to be more, or where nothing was
    done to the first."""
    struck = trial.folder / "struck"
    code = trial.apply(striking(trial, what, moment, struck))
    if not struck.exists() or (what is What.KILL and code != -signal.SIGKILL):
        raise NotDone(f"the moment never came, exit code {code}")
    # An apply that ended well knew nothing of a machine that lost its power at the very end.
    code = code or (1 if what is What.POWER else 0)
    for applies in range(MOST_APPLIES + 1):
        if not code:
            return applies
        # A person sees that it has ended: machines are switched on, and the lock of a dead holder ends meanwhile.
        trial.wire.do("on")
        trial.wire.do("jump", seconds=LEASE_SECONDS + 1)
        code = trial.apply()
    raise NotDone(f"apply still ends with exit code {code}")


def sweep(
    ground: Ground, trials: Sequence[tuple[What, Moment]], tell: Callable[[str], object], trial: Tried = tried
) -> list[Outcome]:
    """All of the trials, each told of as it ends."""
    outcomes = []
    for number, (what, moment) in enumerate(trials, 1):
        outcomes.append(trial(ground, what, moment))
        tell(f"{number}/{len(trials)} {outcomes[-1]}")
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    """A line for each thing that was tried: how often, and how often it converged."""
    lines = []
    for what in What:
        own = [outcome for outcome in outcomes if outcome.what is what]
        if own:
            good = sum(outcome.converged for outcome in own)
            most = max(outcome.applies for outcome in own)
            lines.append(f"{what}: {len(own)} tried, {good} converged, at most {most} more applies")
    return "\n".join(lines)


def striking(trial: Trial, what: What, moment: Moment, struck: Path) -> Strike:
    """Does `what` at that moment, and leaves the file `struck` then."""
    named = Named()

    def strike(event: Event) -> None:
        if named(event) != moment:
            return
        struck.touch()
        if what is What.KILL:
            kill_myself()
        whom = event["node"] or "s1"
        trial.wire.do("cut" if what is What.CUT else "off", whom)

    return strike


def problems_of(trial: Trial, ground: Ground) -> list[str]:
    """What is not as it should be when all is said to be done."""
    problems = []
    if trial.clusterup("plan", "sim.yaml", "--detailed-exitcode"):
        problems.append(f"the plan is not empty: see {trial.log}")
    seen: dict[str, Any] = trial.wire.do("look")
    problems += seen["complaints"] + seen["failures"]
    servers = sorted(name for name in trial.shape.names if name.startswith("s"))
    voters = [sorted(each["name"] for each in members if not each["learner"]) for members in seen["clusters"]]
    learners = [each["name"] for members in seen["clusters"] for each in members if each["learner"]]
    if voters != [servers] or learners:
        problems.append(f"etcd's voters are {voters}, its learners {learners}; the servers are {servers}")
    if seen["nodes"] != dict.fromkeys(trial.shape.names, "True"):
        problems.append(f"not all Nodes are Ready: {seen['nodes']}")
    if ground.checks_tokens and seen["tokens"]:
        problems.append(f"bootstrap tokens were left behind: {', '.join(seen['tokens'])}")
    return problems
