"""The example of docs/library.md, on a simulated site: `python -m tests.simulator.library FOLDER`.

Prints what it said, its exit codes, and what the journal has of it, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bootstrap.engine.history import read_runs
from tests.simulator.sweep import Ground, Shape, Trial

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "apply.py"


def example(trial: Trial) -> dict[str, Any]:
    """Run it as a person would."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "sim.yaml"],
        cwd=trial.folder,
        env=trial.environment | {"PYTHONPATH": str(EXAMPLE.parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return {"code": done.returncode, "said": done.stdout.splitlines(), "errors": done.stderr}


def main(folder: Path) -> dict[str, Any]:
    """Once on bare machines, and once more."""
    ground = Ground.prepared(folder, Shape(1, 1))
    with ground.trial() as trial:
        first, second = example(trial), example(trial)
        runs = read_runs(trial.journal)
        return {"first": first, "second": second, "runs": [run.started.command for run in runs if run.started]}


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout)
