"""Applies that are interrupted on simulated machines converge: see tests/simulator/README.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def sweep(folder: Path, *arguments: str) -> dict[str, tuple[int, int]]:
    """How often each thing was tried and how often it converged. In a process of its own: it forks, which one with
    threads must not."""
    done = subprocess.run(
        [sys.executable, "scripts/kill_sweep.py", "--keep", str(folder), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    found = re.findall(r"^(\w+): (\d+) tried, (\d+) converged", done.stdout, re.MULTILINE)
    return {what: (int(tried), int(converged)) for what, tried, converged in found}


def test_clusterup_killed_at_any_boundary_of_an_apply_is_started_again_and_goes_on(tmp_path: Path) -> None:
    tried, converged = sweep(tmp_path, "--servers", "1", "--agents", "1")["kill"]
    # Two nodes with nine actions each, four of the server's own and two of the cluster; each begins and ends.
    assert tried == converged
    assert tried >= 46


def test_connections_that_are_cut_and_machines_that_lose_their_power_keep_nothing_from_coming_about(
    tmp_path: Path,
) -> None:
    found = sweep(tmp_path, "--what", "cut,power", "--sample", "12", "--seed", "1")
    assert sum(tried for tried, _ in found.values()) == 12
    assert all(tried == converged for tried, converged in found.values())


def test_three_servers_come_to_a_quorum_whatever_kills_clusterup(tmp_path: Path) -> None:
    assert sweep(tmp_path, "--servers", "3", "--agents", "1", "--sample", "6", "--seed", "1") == {"kill": (6, 6)}


def test_faults_that_are_put_into_clusterup_are_seen() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator.faults"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seen = {name: "\n".join(problems) for name, problems in json.loads(done.stdout).items()}
    assert "bootstrap tokens were left behind" in seen["tokens stay"]
    assert "a1 was started from a disk that is not whole" in seen["the table comes first"]
    assert "s1 is installed again" in seen["installed always"]
    assert "s2 founded etcd while s1 had its data" in seen["founded everywhere"]
