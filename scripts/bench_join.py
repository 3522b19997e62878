"""What `scripts/bench-join` runs: see there."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bootstrap.pki.token import new_token
from tests.helpers.measured import measured
from tests.simulator.joins import HOUR, Joins
from tests.simulator.sweep import Ground, Shape

NODES = (1, 10, 100, 300)
TOKENS = 100
CLUSTERUP = "from bootstrap.cli.start import start; start()"
TARGET = "it does not grow with the cluster"


@dataclass(frozen=True)
class Ran:
    """One command: seconds of wall and CPU time; CPU seconds of the simulator meanwhile, and how many requests its API
    server got and how many bytes it answered."""

    wall: float
    cpu: float
    simulator: float
    asked: int
    told: int


@dataclass
class Simulated:
    """A cluster of so many nodes: a server, and Nodes without machines."""

    nodes: int
    joins: Joins

    def run(self, words: Sequence[str], who: str = "") -> Ran:
        """Type clusterup, in a process of its own. `who` is a person with a state of their own."""
        trial = self.joins.trial
        # Where Python may not keep what it compiled, it would compile all of clusterup in each run.
        foreign = ("SSH_AUTH_SOCK", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if name not in foreign} | {
            "HOME": str(trial.folder),
            "XDG_STATE_HOME": str(trial.folder / f"state{who}"),
            "CLUSTERUP_TOKEN": self.joins.token,
        }
        before = trial.wire.do("used")
        used = measured([sys.executable, "-c", CLUSTERUP, *words], environment, trial.folder)
        after = trial.wire.do("used")
        cpu, asked, told = (after[name] - before[name] for name in ("cpu", "asked", "told"))
        return Ran(used.wall, used.cpu, cpu, asked, told)


def main() -> int:
    """Measure and print; 0 whatever the figures."""
    parser = argparse.ArgumentParser(description="Measure joins into clusters of several sizes.")
    parser.add_argument("--nodes", type=int, action="append", help="Nodes of a cluster. Repeatable.")
    parser.add_argument("--times", type=int, default=5, help="How often each is measured; the median counts.")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="Tokens that a cluster has for the last lines.")
    parser.add_argument("--real", action="store_true", help="Also join by clusterup-node, with a real API server.")
    options = parser.parse_args()
    sizes: Sequence[int] = options.nodes or NODES
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; median of {options.times}; target: {TARGET}")
    with tempfile.TemporaryDirectory(prefix="clusterup-bench-") as name, ExitStack() as until_the_end:
        strangers = tuple(f"j{number}" for number in range(1, options.times + 2))
        ground = Ground.prepared(Path(name), Shape(servers=1, agents=0), strangers)
        clusters = [simulated(ground, nodes, until_the_end) for nodes in sizes]
        print("clusterup join, of simulated machines", flush=True)
        # The first round of all only warms up. In turns: what else the machine does meanwhile is the same for all.
        rounds = [[joined(cluster, stranger) for cluster in clusters] for stranger in strangers][1:]
        print(HEAD)
        for cluster, *runs in zip(clusters, *rounds, strict=True):
            print(f"{cluster.nodes:5} nodes       {line(runs)}", flush=True)
        report_tokens(clusters[0], options.tokens, options.times)
    if options.real:
        report_real(sizes, options.times)
    return 0


HEAD = "                     wall      CPU  simulator's CPU  API requests  answered"


def simulated(ground: Ground, nodes: int, until_the_end: ExitStack) -> Simulated:
    """A cluster that was applied, with a token. Raises RuntimeError where that does not end well."""
    joins = Joins(ground, until_the_end.enter_context(ground.trial()))
    if joins.trial.apply():
        raise RuntimeError(joins.trial.log.read_text()[-3000:])
    joins.trial.wire.do("nodes", str(nodes - 1))
    joins.trial.wire.do("token", joins.token, HOUR)
    return Simulated(nodes, joins)


def joined(cluster: Simulated, stranger: str) -> Ran:
    """One join of a bare machine, by somebody who has nothing of the cluster yet."""
    return cluster.run(cluster.joins.typed(stranger), f"-{stranger}")


def report_tokens(cluster: Simulated, tokens: int, times: int) -> None:
    """Print what it takes to make and to list tokens, with one of them and with many."""
    made = ["token", "create", "sim.yaml"]
    listed = ["token", "list", "sim.yaml"]
    few = [[cluster.run(words) for words in (listed, made)] for _ in range(times)]
    for _ in range(tokens):
        cluster.joins.trial.wire.do("token", new_token().reveal(), HOUR)
    many = [[cluster.run(words) for words in (listed, made)] for _ in range(times)]
    print(f"clusterup token, in the cluster of {cluster.nodes}, before and after {tokens} more were made\n{HEAD}")
    for name, runs in zip(("list", "create"), zip(*few, strict=True), strict=True):
        print(f"{name + ', few':16}  {line(runs)}")
    for name, runs in zip(("list", "create"), zip(*many, strict=True), strict=True):
        print(f"{name + ', many':16}  {line(runs)}", flush=True)


def report_real(sizes: Sequence[int], times: int) -> None:
    """Print what joins take by the node's own command into a real cluster, which grows from size to size."""
    from tests.integration.kube.joining.joins import real_cluster

    median = statistics.median
    with tempfile.TemporaryDirectory(prefix="clusterup-bench-") as name, real_cluster(Path(name)) as cluster:
        print("clusterup-node join, of folders, with a real API server and etcd")
        print("                     wall      CPU  API server's CPU  etcd's CPU")
        for nodes in sorted(sizes):
            cluster.grow(nodes)
            runs = [cluster.join() for _ in range(times + 1)][1:]
            print(
                f"{nodes:5} nodes       {median(ran.used.wall for ran in runs):6.2f} s "
                f"{median(ran.used.cpu for ran in runs):6.2f} s {median(ran.api_server for ran in runs):15.2f} s "
                f"{median(ran.etcd for ran in runs):9.2f} s",
                flush=True,
            )


def line(runs: Sequence[Ran]) -> str:
    """The medians of runs of the same."""
    median = statistics.median
    return (
        f"{median(ran.wall for ran in runs):6.2f} s {median(ran.cpu for ran in runs):6.2f} s "
        f"{median(ran.simulator for ran in runs):14.2f} s {median(ran.asked for ran in runs):13.0f} "
        f"{median(ran.told for ran in runs) / 1000:6.0f} kB"
    )


if __name__ == "__main__":
    sys.exit(main())
