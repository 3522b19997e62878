"""clusterup join as typed, by somebody who has nothing of the cluster but a token, on simulated machines behind real
SSH servers: see tests/simulator/joins.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
UNTOUCHED = {"s1": 1, "j1": 0, "j2": 0}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("joins")
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator.joins", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(seen: dict[str, Any], name: str) -> str:
    """What was said, of a machine that was not touched."""
    assert seen[name]["code"] == 4, seen[name]["said"]
    assert seen[name]["site"]["installed"]["j2"] == 0
    said: str = seen[name]["said"]
    return said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unknown token", "the cluster knows no such token"),
        ("wrong pin", "is not the cluster that is pinned"),
        ("no such disk", "next: name one of these: --disk /dev/..."),
        ("other address", "the machine does not have the address 10.78.9.9"),
    ],
)
def test_what_speaks_against_it_is_said_before_the_machine_is_touched(
    seen: dict[str, Any], name: str, said: str
) -> None:
    assert said in refused(seen, name)
    assert seen[name]["site"]["installed"] == UNTOUCHED


def test_a_dry_run_changes_nothing(seen: dict[str, Any]) -> None:
    assert seen["dry run"]["code"] == 0
    assert seen["dry run"]["site"]["installed"] == UNTOUCHED


def test_killed_wherever_it_was_the_same_command_goes_on_to_a_ready_node(seen: dict[str, Any]) -> None:
    assert [seen[f"killed {number}"]["code"] for number in range(3)] == [-9, -9, -9]
    assert seen["joined"]["code"] == 0
    assert seen["joined"]["site"]["nodes"] == {"s1": "True", "j1": "True"}
    assert seen["joined"]["site"]["installed"]["j1"] == 1
    assert seen["expired"]["site"]["complaints"] == []


def test_a_machine_that_has_joined_is_left_alone(seen: dict[str, Any]) -> None:
    assert seen["again"]["code"] == 0
    assert "ActionStarted" not in seen["again"]["said"]


def test_the_name_of_a_live_node_is_refused_to_another_machine(seen: dict[str, Any]) -> None:
    assert "a Ready node of that name is in the cluster already" in refused(seen, "name taken")


def test_who_joined_a_machine_is_let_in_beside_the_operator(seen: dict[str, Any]) -> None:
    lets_in = seen["joined"]["site"]["lets in"]
    operator = lets_in["s1"].splitlines()
    assert [line for line in lets_in["j1"].splitlines() if line in operator] == operator
    assert len(lets_in["j1"].splitlines()) == 2


def test_where_machines_are_only_joined_no_one_makes_other_authorities_for_the_cluster(seen: dict[str, Any]) -> None:
    assert seen["no operator"]["code"] == 4
    assert "clusterup adopt" in seen["no operator"]["said"]


def test_the_operator_s_own_machine_joins_with_the_state_that_is_there(seen: dict[str, Any]) -> None:
    assert seen["by the operator"]["code"] == 0
    assert seen["by the operator"]["site"]["lets in"]["j2"] == seen["by the operator"]["site"]["lets in"]["s1"]
    assert seen["plan"]["code"] == 0


def test_a_joined_node_that_is_written_into_the_inventory_is_left_as_it_is(seen: dict[str, Any]) -> None:
    planned = json.loads(seen["written down"]["said"].splitlines()[-2])
    assert {action["id"] for action in planned["actions"]} == {"s1/files", "s1/handover", "s1/node"}


def test_a_token_that_has_ended_is_refused(seen: dict[str, Any]) -> None:
    assert seen["expired"]["code"] == 4
    assert "it has expired" in seen["expired"]["said"]


def test_the_token_is_on_no_node_afterwards_and_nowhere_in_what_is_written(seen: dict[str, Any]) -> None:
    assert seen["joined"]["site"]["left"] == []
    assert len(seen["journals"]) == 2
    assert seen["token"].partition(".")[2] not in "".join([seen["log"], *seen["journals"]])
