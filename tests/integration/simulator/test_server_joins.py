"""clusterup join of servers as typed, by people who have nothing of the cluster but a server's token, on simulated
machines behind real SSH servers: see tests/simulator/server_joins.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("server_joins")
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator.server_joins", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def voters(told: dict[str, Any]) -> list[str]:
    """Those with a vote, of the only cluster; no one may be waiting for one."""
    (members,) = told["site"]["clusters"]
    assert not [each["name"] for each in members if each["learner"]]
    return sorted(each["name"] for each in members)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("name taken", "the name a1 belongs to a node of the cluster"),
        ("other address", "the machine does not have the address 10.78.9.9"),
        ("no such disk", "next: name one of these: --disk /dev/..."),
        ("a file of somebody's", "mine.yaml is there, and is not what was applied last"),
        ("stale", "what the token opens is not what was applied last"),
        ("unhealthy", "s3 is a member of etcd and not healthy; one more member would make the quorum worse"),
    ],
)
def test_what_speaks_against_it_is_said_before_the_token_is_used_up_or_the_machine_touched(
    seen: dict[str, Any], name: str, said: str
) -> None:
    told = seen[name]
    assert told["code"] == 4, told["said"]
    assert said in told["said"]
    assert told["site"]["tokens"]
    assert told["site"]["installed"]["s4"] == 0


def test_a_dry_run_and_refusals_leave_nothing_on_the_machine_that_it_is_typed_on(seen: dict[str, Any]) -> None:
    assert seen["dry run"]["code"] == 0
    assert seen["dry run"]["site"]["installed"]["s2"] == 0
    for name in ("dry run", "name taken", "other address", "a file of somebody's"):
        assert not [path for path in seen[name]["kept"] if path.startswith("state-else/") and ".lock" not in path]
    assert "two.yaml" not in seen["a file of somebody's"]["files"]


def test_of_two_servers_it_is_said_that_no_failure_is_tolerated_and_until_when(seen: dict[str, Any]) -> None:
    assert "until a third one has joined, no failure is tolerated" in seen["killed"]["said"]
    assert "cluster.allow_even_servers: true is written into two.yaml" in seen["killed"]["said"]
    assert "note:" not in seen["failed"]["said"]
    assert "until one more has joined, 1 may fail, no more than with 3" in seen["by an operator"]["said"]


def test_the_inventory_gets_the_server_s_entry_and_no_more(seen: dict[str, Any]) -> None:
    before, after = (json.loads(seen["written"][name]) for name in ("sim.yaml", "two.yaml"))
    assert after["cluster"] == {**before["cluster"], "allow_even_servers": True}
    assert after["nodes"][:-1] == before["nodes"]
    added = after["nodes"][-1]
    assert (added["name"], added["role"], added["disk"]) == ("s2", "server", "/dev/vda")
    assert Path(added["ssh"]["key"]).is_absolute()


def test_killed_in_the_middle_the_same_command_says_what_goes_on_and_that_does(seen: dict[str, Any]) -> None:
    assert seen["killed"]["code"] == -9
    assert voters(seen["killed"]) == ["s1"]
    assert seen["once more"]["code"] == 4
    assert "the token was used up" in seen["once more"]["said"]
    assert "this machine has the cluster's keys now" in seen["once more"]["said"]
    assert "two.yaml goes on" in seen["once more"]["said"]
    assert seen["applied"]["code"] == 0
    assert voters(seen["applied"]) == ["s1", "s2"]
    assert seen["applied"]["site"]["nodes"] == {"s1": "True", "a1": "True", "s2": "True"}
    assert seen["plan"]["code"] == 0


def test_what_looked_with_the_keys_is_gone_when_the_token_is_used_up(seen: dict[str, Any]) -> None:
    assert not [path for path in seen["killed"]["kept"] if path.endswith(".joining")]


def test_a_server_that_fails_half_way_leaves_no_learner_and_is_made_one_by_an_apply(seen: dict[str, Any]) -> None:
    assert seen["failed"]["code"] == 3
    assert "s3 was a learner in etcd without a vote: it was taken out again" in seen["failed"]["said"]
    assert "to go on: clusterup apply three.yaml" in seen["failed"]["said"]
    assert "clusterup remove s3 three.yaml" in seen["failed"]["said"]
    assert voters(seen["failed"]) == ["s1", "s2"]
    assert seen["fixed"]["code"] == 0
    assert voters(seen["fixed"]) == ["s1", "s2", "s3"]


def test_who_is_an_operator_already_joins_with_the_state_and_the_inventory_that_are_there(seen: dict[str, Any]) -> None:
    told = seen["by an operator"]
    assert told["code"] == 0
    assert voters(told) == ["s1", "s2", "s3", "s4"]
    assert set(told["site"]["nodes"].values()) == {"True"}
    names = [node["name"] for node in json.loads(seen["written"]["three.yaml"])["nodes"]]
    assert names == ["s1", "a1", "s2", "s3", "s4"]
    assert told["site"]["complaints"] == []


def test_each_token_is_gone_when_it_was_used(seen: dict[str, Any]) -> None:
    assert seen["killed"]["site"]["tokens"] == []
    assert len(seen["unhealthy"]["site"]["tokens"]) == len(seen["by an operator"]["site"]["tokens"]) + 1


def test_an_agent_s_token_opens_no_inventory(seen: dict[str, Any]) -> None:
    assert seen["an agent's token"]["code"] == 2
    assert "an agent's token opens no inventory" in seen["an agent's token"]["said"]


def test_neither_a_token_nor_what_it_opens_is_anywhere_in_what_is_said_or_written_down(seen: dict[str, Any]) -> None:
    said = "".join(told["said"] for told in seen.values() if isinstance(told, dict) and "said" in told)
    assert len(seen["journals"]) == 3
    for secret in (*seen["secrets"], "PRIVATE KEY"):
        assert secret not in "".join([said, *seen["journals"]])
