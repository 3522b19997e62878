"""What `scripts/bench-start` runs: see there."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bootstrap.image.architecture import own_architecture
from scripts.build_executable import build
from tests.simulator.image import small_bundle

# The most that the executable may take, beside the virtual environment's command, and its size in MB.
TARGET, SIZE = 1.3, 60
INVENTORY = """\
cluster: {name: start}
nodes:
- {name: s1, role: server, address: 10.0.0.1, disk: /dev/vda, ssh: {host: 127.0.0.1, port: 1, use_config: false}}
"""


def main() -> int:
    """Measure and print; 0 when all commands did what they should, whatever the figures."""
    parser = argparse.ArgumentParser(description="Measure how long clusterup takes to start.")
    parser.add_argument("executable", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clusterup-bench-") as name:
        folder = Path(name)
        executable = options.executable or _built(folder / "built")
        program = folder / "clusterup"
        shutil.copy(executable, program)
        bundle = small_bundle(folder / "bundle").directory
        (folder / "inventory.yaml").write_text(INVENTORY)
        first = seconds(folder, [str(program), "--version"], 0)
        print(f"{executable.stat().st_size / 1e6:.0f} MB (target: under {SIZE}); first start: {first:.2f} s")
        venv = str(Path(sys.executable).parent / "clusterup")
        for code, *command in (
            (0, "--help"),
            (0, "validate", "inventory.yaml"),
            # The machine can't be reached.
            (1, "plan", "--bundle", str(bundle), "inventory.yaml"),
        ):
            pairs = [
                (seconds(folder, [str(program), *command], code), seconds(folder, [venv, *command], code))
                for _ in range(options.runs)
            ]
            report(command[0], pairs)
    return 0


def report(name: str, pairs: Sequence[tuple[float, float]]) -> None:
    """The figures of one command, the executable's first."""
    ours, theirs = zip(*pairs, strict=True)
    ratio = statistics.median(own / other for own, other in pairs)
    print(
        f"{name:10} executable {_three(ours)}, virtual environment {_three(theirs)} s (min/median/max); "
        f"median of the ratios {ratio:.2f} (target: {TARGET})"
    )


def _three(found: Sequence[float]) -> str:
    return f"{min(found):.3f} / {statistics.median(found):.3f} / {max(found):.3f}"


def seconds(folder: Path, command: Sequence[str], code: int) -> float:
    """How long a command takes. Raises SystemExit where it ends with another exit code."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "c")}
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    if done.returncode != code:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}, not {code}:\n{done.stderr}")
    return took


def _built(folder: Path) -> Path:
    architecture = own_architecture()
    if architecture is None:
        raise SystemExit("an executable is made for amd64 and arm64 alone: name one that runs here")
    return build(architecture, folder)


if __name__ == "__main__":
    sys.exit(main())
