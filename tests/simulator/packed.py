"""A site that is made out of a bundle that is one file: `python -m tests.simulator.packed FOLDER`.

Prints exit codes and what is wrong with the machines afterwards, as JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.simulator.sweep import Ground, Shape, problems_of


def main(folder: Path) -> dict[str, Any]:
    """Pack the bundle, take its folder away, apply out of the file, and plan once more."""
    ground = Ground.prepared(folder, Shape(1, 1))
    with ground.trial() as trial:
        packed = trial.clusterup("bundle", "pack", str(ground.bundle.directory), "--out", "bundle.tar")
        moved = shutil.move(ground.bundle.directory, folder / "away")
        applied = trial.clusterup("apply", "sim.yaml", "--yes", "-o", "json", "--bundle", "bundle.tar")
        wrong = trial.clusterup("plan", "sim.yaml", "--bundle", "none.tar")
        saved = trial.clusterup("plan", "sim.yaml", "--bundle", "bundle.tar", "--out", "saved")
        by_saved = trial.clusterup("apply", "--plan", "saved", "--yes")
        again = trial.clusterup("plan", "sim.yaml", "--detailed-exitcode", "--bundle", "bundle.tar")
        without = trial.clusterup("plan", "sim.yaml", "--detailed-exitcode")
        shutil.move(moved, ground.bundle.directory)
        return {
            "codes": [packed, applied, saved, by_saved, again, without],
            "wrong": wrong,
            "problems": problems_of(trial, ground),
            "said": trial.log.read_text()[-2000:],
        }


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
