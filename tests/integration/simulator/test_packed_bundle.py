"""`clusterup apply --bundle FILE` makes a site out of one file, with real SSH and simulated machines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_site_is_made_out_of_one_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.simulator.packed", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["codes"] == [0, 0, 0, 0, 0, 0], found["said"]
    # A cluster that was made goes by what is known of its bundle; one that somebody names has to be there.
    assert found["wrong"] == 1
    assert found["problems"] == []
