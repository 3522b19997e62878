"""Clusters of simulated machines are taken apart: see tests/simulator/README.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.simulator.test_kill_sweep import ROOT, sweep


@pytest.fixture(scope="module")
def seen() -> dict[str, list[str]]:
    """What was not as it should be, by what was tried. In a process of its own, which has no threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator.taken_apart"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_a_machine_that_was_off_is_named_is_refused_afterwards_and_can_be_cleaned_alone(
    seen: dict[str, list[str]],
) -> None:
    assert seen["one was off"] == []


def test_a_quorum_that_is_dead_keeps_nothing_from_being_cleaned(seen: dict[str, list[str]]) -> None:
    assert seen["a dead quorum"] == []


def test_when_the_last_disk_is_erased_nothing_is_kept_but_the_journal(seen: dict[str, list[str]]) -> None:
    assert seen["wiped at two times"] == []


def test_nothing_is_done_until_the_cluster_s_name_was_given(seen: dict[str, list[str]]) -> None:
    assert seen["typed by no one"] == []


def test_a_down_that_is_interrupted_at_any_boundary_goes_on_and_the_machines_are_a_new_cluster_again(
    tmp_path: Path,
) -> None:
    # A server and an agent with one action each, which begins and ends.
    assert sweep(tmp_path, "--down") == {"kill": (4, 4)}


def test_connections_that_are_cut_and_machines_that_lose_their_power_meanwhile_are_clean_at_last(
    tmp_path: Path,
) -> None:
    found = sweep(tmp_path, "--down", "--what", "cut,power", "--sample", "4", "--seed", "1")
    assert sum(tried for tried, _ in found.values()) == 4


def test_wiped_machines_start_from_the_stick_and_are_a_new_cluster_again(tmp_path: Path) -> None:
    assert sweep(tmp_path, "--wipe") == {"kill": (4, 4)}
