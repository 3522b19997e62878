"""clusterup plan of a fleet of simulated nodes, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.simulator.cluster import SimulatedCluster, simulated_cluster

SERVERS, AGENTS = 3, 47
NOTHING_TO_DO = "nothing to do: everything is as the inventory says"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedCluster]:
    with simulated_cluster(tmp_path_factory.mktemp("fleet"), servers=SERVERS, agents=AGENTS) as made:
        made.install()
        yield made


def types(cluster: SimulatedCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What an operator sees who types that."""
    mine = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    done = subprocess.run(
        [sys.executable, "-c", "from bootstrap.cli.start import start; start()", *arguments],
        env=mine | cluster.environment,
        cwd=cluster.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@dataclass
class Turnstile:
    """Lets machines answer only when `count` of them are asked at once; remembers how many were, at most."""

    count: int
    inside: int = 0
    most: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    gate: threading.Barrier = field(init=False)

    def __post_init__(self) -> None:
        self.gate = threading.Barrier(self.count)

    def passed(self, _: str) -> None:
        with self.changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.gate.wait(60)
        with self.changed:
            self.inside -= 1


def test_fifty_nodes_that_are_as_they_should_be_have_nothing_to_do(cluster: SimulatedCluster) -> None:
    planned = types(cluster, "plan", "fleet.yaml", "--detailed-exitcode")
    assert planned.stdout.splitlines()[-1] == NOTHING_TO_DO, planned.stderr
    assert planned.returncode == 0
    assert planned.stdout.count(": answered") == SERVERS + AGENTS


def test_a_node_that_is_off_is_named_and_the_others_are_planned(cluster: SimulatedCluster) -> None:
    cluster.fleet.switch_off("a7")
    try:
        planned = types(cluster, "plan", "fleet.yaml", "-o", "json")
    finally:
        cluster.fleet.switch_on("a7")
    events = [json.loads(line) for line in planned.stdout.splitlines()]
    answered = [event["node"] for event in events if event.get("event") == "FactsRead" and event["error"] is None]
    assert sorted(answered) == sorted(name for name in cluster.machines if name != "a7")
    assert events[-1]["actions"] == []
    assert list(events[-1]["unreachable"]) == ["a7"]
    assert "a7: connect: 127.77.0.10 is there, but nothing listens" in planned.stderr
    assert planned.returncode == 3


@pytest.mark.parametrize("command", ["plan", "plan --detailed-exitcode", "apply --dry-run", "apply --yes"])
def test_a_node_that_was_not_looked_at_is_not_nothing_to_do(cluster: SimulatedCluster, command: str) -> None:
    cluster.fleet.switch_off("a7")
    try:
        done = types(cluster, *command.split(), "fleet.yaml")
    finally:
        cluster.fleet.switch_on("a7")
    assert done.returncode == 3, done.stderr
    assert "nothing to do on the machines that answered" in done.stdout
    assert "not reached, and nothing is known of: a7" in done.stdout
    assert NOTHING_TO_DO not in done.stdout
    assert "the cluster is there" not in done.stdout


def test_a_bad_inventory_is_told_from_something_to_do_by_the_exit_code(cluster: SimulatedCluster) -> None:
    (cluster.folder / "bad.yaml").write_text("cluster: {}")
    assert types(cluster, "plan", "bad.yaml").returncode == 2
    assert types(cluster, "plan", "bad.yaml", "--detailed-exitcode").returncode == 1
    assert types(cluster, "plan", "none.yaml", "--detailed-exitcode").returncode == 1
    assert types(cluster, "plan", "fleet.yaml", "--detailed-exitcode", "--parallel", "0").returncode == 1
    assert types(cluster, "plan", "fleet.yaml", "--parallel", "0").returncode == 2


def test_what_one_node_lacks_is_all_that_is_planned(cluster: SimulatedCluster) -> None:
    machine = cluster.machines["a20"]
    whole = machine.files
    machine.files = {path: found for path, found in whole.items() if path != "/etc/clusterup/haproxy.cfg"}
    try:
        planned = types(cluster, "plan", "fleet.yaml", "-o", "json")
    finally:
        machine.files = whole
    actions = json.loads(planned.stdout.splitlines()[-1])["actions"]
    assert [(action["id"], action["why"]) for action in actions] == [
        ("a20/files", "/etc/clusterup/haproxy.cfg is missing")
    ]


def test_parallel_is_how_many_nodes_are_asked_at_once(cluster: SimulatedCluster) -> None:
    # Fewer at once would wait for ever for the fifth; more are counted.
    turnstile = Turnstile(count=5)
    for machine in cluster.machines.values():
        machine.before = turnstile.passed
    try:
        planned = types(cluster, "plan", "fleet.yaml", "--parallel", "5")
    finally:
        for machine in cluster.machines.values():
            machine.before = lambda _: None
    assert planned.stdout.splitlines()[-1] == NOTHING_TO_DO, planned.stderr
    assert turnstile.most == 5


def test_a_second_plan_makes_the_same_files_of_the_state(cluster: SimulatedCluster) -> None:
    def state() -> dict[str, bytes]:
        folder = cluster.folder / "state"
        return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    types(cluster, "plan", "fleet.yaml")
    before = state()
    types(cluster, "plan", "fleet.yaml")
    assert state() == before


def test_bare_machines_are_planned_from_their_disks_on(tmp_path: Path) -> None:
    with simulated_cluster(tmp_path, servers=1, agents=2) as bare:
        planned = types(bare, "plan", "fleet.yaml", "-o", "json")
        actions = json.loads(planned.stdout.splitlines()[-1])["actions"]
    installed = [action["node"] for action in actions if action["id"].endswith("/install.image")]
    assert (planned.returncode, installed) == (0, ["s1", "a1", "a2"])
