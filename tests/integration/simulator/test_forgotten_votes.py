"""Servers whose etcd forgot who has a vote are found by a plan, and an apply has the votes written."""

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
    command = [sys.executable, "-m", "tests.simulator.votes", str(tmp_path_factory.mktemp("votes"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["made"] == 0
    return found


def test_with_an_etcd_that_would_not_write_them_a_plan_says_what_to_do_and_does_nothing(seen: dict[str, Any]) -> None:
    assert seen["old"]["code"] == 0, seen["old"]["said"]
    said = " ".join(seen["old"]["said"].split())
    assert "etcd 3.5.16 on s2 does not keep that s1, s2, s3 have a vote (etcd issue 19557)" in said
    assert "Run etcd 3.5.30 or newer first" in said


def test_with_a_newer_one_the_plan_has_them_written_without_a_restart(seen: dict[str, Any]) -> None:
    assert seen["planned"]["code"] == 2, seen["planned"]["said"]
    said = " ".join(seen["planned"]["said"].split())
    assert "write into etcd's data who has a vote" in said
    assert "by its data s1, s2, s3 would be learners for etcd 3.6" in said
    assert "restart" not in said


def test_an_apply_writes_them_and_nothing_is_left_to_do(seen: dict[str, Any]) -> None:
    assert seen["applied"]["code"] == 0, seen["applied"]["said"]
    assert seen["again"]["code"] == 0, seen["again"]["said"]
