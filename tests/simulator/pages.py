"""The commands of docs' pages that are marked as tried on a site, on a simulated one: `python -m tests.simulator.pages
FOLDER`.

A site of three servers and an agent is made, and the blocks of all pages run there as they stand, one after the other.
Prints what came of each, as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.pages import ROOT, blocks_tried_on, programs_in, typed
from tests.simulator.sweep import Ground, Shape, problems_of


def main(folder: Path) -> dict[str, Any]:
    """Make the site, and run every block."""
    ground = Ground.prepared(folder, Shape(3, 1))
    # Pages make tokens, which are there until somebody joins.
    ground.checks_tokens = False
    with ground.trial() as trial:
        shutil.copy(trial.folder / "sim.yaml", trial.folder / "inventory.yaml")
        environment = trial.environment | {
            "PATH": f"{programs_in(folder / 'programs')}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(_cache_with(folder, ground.bundle.directory)),
        }
        applied = trial.clusterup("apply", "inventory.yaml", "--yes")
        blocks = {
            where: _outcome(typed(block, trial.folder, environment))
            for place in ("a site", "a bundle")
            for where, block in blocks_tried_on(place)
        }
        return {"applied": applied, "blocks": blocks, "problems": problems_of(trial, ground)}


def _outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {"code": done.returncode, "said": done.stdout[-3000:], "errors": done.stderr[-3000:]}


def _cache_with(folder: Path, bundle: Path) -> Path:
    """A cache in which that bundle is the one built last."""
    cache = folder / "cache"
    (cache / "clusterup" / "bundle").mkdir(parents=True)
    (cache / "clusterup" / "bundle" / "current").symlink_to(bundle)
    return cache


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
