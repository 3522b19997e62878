"""What `scripts/kill-sweep` runs: see there, and tests/simulator/README.md."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.simulator.sweep import BOUNDARIES, COMMANDS, Ground, Shape, Tried, What, moments, summary, sweep, tried
from tests.simulator.taken_apart import WIPE, down_moments, down_tried


def main() -> int:
    """Try it all and print what came of it; 1 where something did not converge."""
    options = _options()
    began = time.monotonic()
    folder = Path(options.keep or tempfile.mkdtemp(prefix="clusterup-sweep-"))
    folder.mkdir(parents=True, exist_ok=True)
    ground = Ground.prepared(folder, Shape(options.servers, options.agents))
    kinds = (*BOUNDARIES, *COMMANDS) if options.commands else BOUNDARIES
    words = WIPE if options.wipe else ()
    every = down_moments(ground, kinds, words) if options.down or options.wipe else moments(ground, kinds)
    trial: Tried = partial(down_tried, words=words) if options.down or options.wipe else tried
    trials = [(what, moment) for what in options.what for moment in every]
    if options.sample is not None:
        trials = random.Random(options.seed).sample(  # noqa: S311 -- no secret
            trials, min(options.sample, len(trials))
        )
    done = "taking apart" if options.down or options.wipe else "an apply on"
    print(f"{len(every)} moments of {done} {', '.join(ground.shape.names)}; seed {options.seed}", flush=True)
    outcomes = sweep(ground, trials, lambda said: print(said, flush=True), trial)
    print(f"{summary(outcomes)}\nin {time.monotonic() - began:.0f} s")
    failed = [outcome for outcome in outcomes if not outcome.converged]
    if failed:
        print(f"what did not converge, once more; logs are below {folder}")
        print("\n".join(map(str, failed)))
    return 1 if failed or not outcomes else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Interrupt applies on simulated machines at every boundary.")
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--agents", type=int, default=1)
    parser.add_argument(
        "--what", type=_whats, default=[What.KILL], help="what is done there, of kill, cut and power: kill,cut"
    )
    parser.add_argument("--down", action="store_true", help="interrupt clusterup down in the place of an apply")
    parser.add_argument("--wipe", action="store_true", help="interrupt clusterup down --wipe")
    parser.add_argument("--commands", action="store_true", help="also after each single command on a node")
    parser.add_argument("--sample", type=int, help="only so many of all trials, chosen by chance")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 32))
    parser.add_argument("--keep", help="an empty folder for the trials' logs, instead of a temporary one")
    return parser.parse_args()


def _whats(text: str) -> list[What]:
    return [What(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
