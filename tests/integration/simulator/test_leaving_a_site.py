"""A dead server leaves simulated machines, whatever kills clusterup meanwhile: see tests/simulator/leaving.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_dead_server_leaves_and_clusterup_that_was_killed_meanwhile_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulator.leaving", str(tmp_path), "--sample", "4", "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole, *killed = [json.loads(line) for line in done.stdout.splitlines()]
    begun = [name for kind, name in whole["moments"] if kind == "ActionStarted"]
    assert whole["problems"] == []
    assert [name for name in begun if name.startswith("s3/")] == [
        "s3/leave.cordon",
        "s3/leave.etcd",
        "s3/leave.node",
        "s3/leave.forget",
    ]
    assert begun.index("s1/runtime") > begun.index("s3/leave.node")
    assert [each["problems"] for each in killed] == [[]] * 4
    assert [each["codes"] for each in killed] == [[-9, 0]] * 4
