"""docs/examples/apply.py, which applies an inventory from Python, on simulated machines behind real SSH servers."""

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
    folder = tmp_path_factory.mktemp("library")
    command = [sys.executable, "-m", "tests.simulator.library", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_program_applies_an_inventory_and_reads_its_events(seen: dict[str, Any]) -> None:
    assert seen["first"]["code"] == 0, seen["first"]["errors"]
    said = seen["first"]["said"]
    assert {"s1: looked at", "a1: looked at"} <= set(said)
    assert [line for line in said if line.startswith("erased: a1, s1; ")]
    assert any(line.startswith("a1: join the kubelet to the cluster") for line in said)


def test_run_again_it_finds_nothing_to_do(seen: dict[str, Any]) -> None:
    assert (seen["second"]["code"], seen["second"]["errors"]) == (0, "")
    assert seen["second"]["said"][-1] == "erased: no disk; 0 actions"


def test_what_it_did_is_in_the_journal_under_its_own_name(seen: dict[str, Any]) -> None:
    assert seen["runs"] == ["example sim.yaml"]
