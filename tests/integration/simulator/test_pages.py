"""The commands of docs' pages that are marked `<!-- tried on: a site -->`, or a bundle, do what the page says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.pages import ROOT, blocks_tried_on


def test_every_block_that_is_marked_runs_as_it_stands(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.simulator.pages", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["applied"] == 0
    assert found["problems"] == []
    marked = {where for place in ("a site", "a bundle") for where, _ in blocks_tried_on(place)}
    assert len(marked) >= 5
    assert found["blocks"].keys() == marked
    assert {where: ran for where, ran in found["blocks"].items() if ran["code"]} == {}
