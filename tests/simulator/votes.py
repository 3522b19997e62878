"""The data of a simulated server forgets who has a vote: `python -m tests.simulator.votes FOLDER`.

Prints what was planned and applied, with an etcd that is too old to be mended and with a newer one, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.simulator.sweep import Ground, Shape, Trial

FORGETFUL = "s2"


def typed(trial: Trial, *arguments: str) -> dict[str, Any]:
    """The exit code of clusterup, and what it said."""
    before = trial.log.stat().st_size
    code = trial.clusterup(*arguments)
    return {"code": code, "said": trial.log.read_text()[before:]}


def main(folder: Path) -> dict[str, Any]:
    """Three servers; then the data of one forgets."""
    with Ground.prepared(folder, Shape(3, 0)).trial() as trial:
        made = trial.apply()
        trial.wire.do("forget", FORGETFUL)
        trial.wire.do("release", "3.5.16")
        old = typed(trial, "plan", "sim.yaml", "--detailed-exitcode")
        trial.wire.do("release", "3.5.30")
        return {
            "made": made,
            "old": old,
            "planned": typed(trial, "plan", "sim.yaml", "--detailed-exitcode"),
            "applied": typed(trial, "apply", "sim.yaml", "--yes"),
            "again": typed(trial, "plan", "sim.yaml", "--detailed-exitcode"),
        }


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
