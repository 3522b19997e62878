"""Operators at once, one who is killed, one who presses Ctrl-C: whoever comes next goes on."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS, THREE_SERVERS

pytestmark = pytest.mark.e2e
ONE, TWO, THREE = SERVERS


@pytest.fixture(scope="module")
def cluster(labs: Labs) -> Operator:
    """Three servers, which each test leaves to the next."""
    return labs.begins(THREE_SERVERS, __name__)


def taken_over(cluster: Operator, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody who has taken the cluster over on a machine of their own."""
    folder = tmp_path_factory.mktemp("operator")
    operator = Operator(folder, folder / "state")
    operator.adopt(cluster, ONE)
    return operator


@pytest.fixture(scope="module")
def second(cluster: Operator, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return taken_over(cluster, tmp_path_factory)


@pytest.fixture(scope="module")
def third(cluster: Operator, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return taken_over(cluster, tmp_path_factory)


def wants_restarts(first: Operator, *others: Operator) -> None:
    """Make the first one's inventory ask for another argument of the scheduler: a restart of it on one server after the
    other. The others get the same inventory."""

    def change(content: dict[str, Any]) -> None:
        arguments = content["kubernetes"]["scheduler_args"]
        arguments["v"] = str(int(arguments.get("v", "0")) + 1)

    first.edits(change)
    for other in others:
        other.inventory.write_bytes(first.inventory.read_bytes())


@contextmanager
def at_work(operator: Operator, server: str) -> Iterator[subprocess.Popen[str]]:
    """An apply that has just begun to restart the control plane of `server`."""
    with operator.begins("apply", "lab.yaml", "--yes", "-o", "json", stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if (event.get("event"), event.get("id")) == ("ActionStarted", f"{server}/control-plane"):
                break
        else:
            raise AssertionError(process.communicate()[1])
        yield process


def test_of_several_applies_one_works_the_others_name_it_and_one_that_waits_gets_in_when_it_is_killed(
    cluster: Operator, second: Operator, third: Operator
) -> None:
    wants_restarts(cluster, second, third)
    patient = ("apply", "lab.yaml", "--yes", "--wait-for-lock")
    with (
        at_work(cluster, ONE) as process,
        second.begins(*patient, stderr=subprocess.PIPE) as waiting,
    ):
        refused = third.runs("apply", "lab.yaml", "--yes")
        assert waiting.stderr is not None
        told = next(line for line in waiting.stderr if "waiting for the lock" in line)
        process.kill()
        waiting.communicate()
    assert refused.returncode == 4
    assert "another clusterup is at work on this cluster" in refused.stderr
    assert f"on {socket.gethostname()} (process {process.pid}) since " in refused.stderr
    assert ": apply lab.yaml" in refused.stderr
    assert f"waiting for the lock, held by root on {socket.gethostname()} (process {process.pid})" in told
    assert waiting.returncode == 0
    for operator in (cluster, second, third):
        assert "nothing to do" in operator.clusterup("plan", "lab.yaml")


def test_ctrl_c_once_ends_what_has_begun_and_says_what_is_left(cluster: Operator) -> None:
    wants_restarts(cluster)
    with at_work(cluster, ONE) as process:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert process.returncode == 130
    ends = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert [event["id"] for event in ends if event["event"] == "ActionDone"][-1] == f"{ONE}/control-plane"
    assert [event for event in ends if event["event"] == "ActionFailed"] == []
    assert "finishing what has begun; press Ctrl-C again to stop now" in errors
    left = rf"{THREE}: done: files.*; not begun: (handover, )?control-plane \(because of interrupted\)"
    assert re.search(left, errors), errors
    assert "to go on: clusterup apply lab.yaml" in errors
    assert "Traceback" not in errors


def test_ctrl_c_twice_stops_now_and_the_next_apply_goes_on(cluster: Operator, second: Operator) -> None:
    with at_work(cluster, TWO) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        told = next(line for line in process.stderr if "Ctrl-C again" in line)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert told
    assert process.returncode == 130
    assert "Traceback" not in errors
    failed = [json.loads(line) for line in output.splitlines() if '"ActionFailed"' in line]
    assert {event["failure"]["exit_code"] for event in failed} <= {130}
    cluster.clusterup("apply", "lab.yaml", "--yes", "--wait-for-lock")
    assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")
    assert cluster.status()["healthy"]
    second.inventory.write_bytes(cluster.inventory.read_bytes())
    assert "nothing to do" in second.clusterup("plan", "lab.yaml")
