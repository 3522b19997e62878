"""Which scenarios no run may leave out is written down twice: in each of them, and here."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.files import existing

ROOT = Path(__file__).parents[3]
EVERY_TIME = {
    "alone/alone_with_a_console",
    "cluster/cluster",
    "cluster/forming",
    "cluster/drift",
    "cluster/power_while_joining",
    "joining/an_agent_leaves",
    "joining/join",
    "server_and_agent/down",
}


def test_these_run_every_time() -> None:
    assert {scenario.name for scenario in existing(ROOT) if scenario.every_time} == EVERY_TIME
