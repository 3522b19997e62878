"""Labs are put aside and brought back: three servers with all that they knew, bare machines with the right time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import pytest

from bootstrap.connect.console_login import over_console
from bootstrap.connect.console_target import console_target
from bootstrap.inventory.load import load_inventory
from bootstrap.lab.saves.restore import lab_restore
from bootstrap.lab.saves.saved import find_saved
from bootstrap.transport.base import Command
from bootstrap.transport.serial.shell.find import ShellPatience
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import BY_CONSOLE, SERVERS, THREE_BARE
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
# What a command says on a machine.
Runs = Callable[[str], str]
# Seconds that clocks may differ by: setting one takes a moment on a busy machine.
NEAR = 10.0
# Tokens of controllers are good for one.
HOURS = 2 * 3600.0


def test_a_cluster_that_was_put_aside_and_taken_down_is_back_and_healthy_with_what_was_written_before(
    cluster: Operator,
) -> None:
    cluster.kubectl("create", "configmap", "before", "--from-literal=written=before")
    saved = f"{cluster.name}-put-aside"
    cluster.clusterup("lab", "save", saved, "--name", cluster.name, "--keep", "100")
    try:
        cluster.kubectl("create", "configmap", "after", "--from-literal=written=after")
        cluster.clusterup("lab", "down", "--name", cluster.name)
        assert not cluster.kept.exists()
        said = cluster.clusterup("lab", "restore", saved)
    finally:
        cluster.clusterup("lab", "forget", saved, "--yes")
    assert "its cluster is healthy" in said
    # With the kubeconfig of before.
    assert cluster.kubectl("get", "configmap", "before", "-o", "jsonpath={.data.written}") == "before"
    assert cluster.asks("get", "configmap", "after").returncode != 0
    assert cluster.states() == dict.fromkeys(SERVERS, "Ready")
    # It stood still for longer than that.
    assert max(apart(partial(cluster.runs_on, name)) for name in SERVERS) < NEAR
    assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")
    cluster.kubectl("delete", "configmap", "before")


@pytest.mark.breaks
def test_controllers_are_at_work_again_after_machines_stood_still_for_hours(
    cluster: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{cluster.name}-hours"
    cluster.clusterup("lab", "save", name, "--name", cluster.name, "--keep", "100")
    now = time.time
    try:
        with monkeypatch.context() as later:
            later.setattr("time.time", lambda: now() + HOURS)
            lab_restore(find_saved(name), cluster.inventory, say=print)
    finally:
        cluster.clusterup("lab", "forget", name, "--yes")
    assert apart(partial(cluster.runs_on, SERVERS[0])) > HOURS - NEAR
    # A controller makes this account, with a token of its own; those of before have ended.
    cluster.kubectl("create", "namespace", "later")
    account = ("get", "serviceaccount", "default", "--namespace", "later")
    wait_for(lambda: cluster.asks(*account).returncode == 0, "a controller to be at work", 120)


def test_bare_machines_that_stood_still_have_the_right_time_and_what_had_no_network_has_none(labs: Labs) -> None:
    bare = labs.begins(THREE_BARE, __name__)
    saved = f"{bare.name}-clocks"
    with on_its_console(bare, BY_CONSOLE) as console:
        for runs in (console, *over_ssh(bare)):
            runs("date -u -s @$(($(date +%s) - 3600))")
            assert apart(runs) > NEAR
    # What is saved has the wrong time.
    bare.clusterup("lab", "save", saved, "--name", bare.name, "--keep", "100")
    try:
        right_time_and_no_network(bare)
        bare.clusterup("lab", "restore", saved, "--yes")
        right_time_and_no_network(bare)
    finally:
        bare.clusterup("lab", "forget", saved, "--yes")


def right_time_and_no_network(bare: Operator) -> None:
    """Every machine has the time of this one, and the one that its console leads into has nothing but that."""
    with on_its_console(bare, BY_CONSOLE) as console:
        assert max(apart(runs) for runs in (console, *over_ssh(bare))) < NEAR
        assert console("ip -4 -o address show scope global").strip() == ""


def over_ssh(bare: Operator) -> list[Runs]:
    """Root shells on the other machines."""
    return [partial(bare.runs_on, name) for name in SERVERS if name != BY_CONSOLE]


@contextmanager
def on_its_console(operator: Operator, name: str) -> Iterator[Runs]:
    """Somebody in a root shell on the console of a bare machine: what a command says there."""
    node = load_inventory(operator.inventory).node(name)
    target = console_target(node, operator.name)
    assert target is not None
    with closing(over_console(node, target, ShellPatience())) as shell:
        yield lambda script: shell.check(Command("by hand", script)).text


def apart(runs: Runs) -> float:
    """By how many seconds the clock of a machine, on which `runs` runs a command, differs from this machine's, however
    long the way there takes."""
    before = time.time()
    there = float(runs("date +%s.%N"))
    return max(before - there, there - time.time(), 0.0)
