"""Clusters of simulated machines that are taken apart: interrupted at every boundary, with a machine that is off, and
made again afterwards.

As a program (`python -m tests.simulator.taken_apart`) it prints what did not come about as it should, as JSON; an
object of empty lists is what is wanted.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from bootstrap.protocol.lease_lock import LEASE_SECONDS
from tests.simulator.operator import Stuck, as_it_is, shorten_waits
from tests.simulator.sweep import (
    BOUNDARIES,
    MOST_APPLIES,
    Ground,
    Moment,
    Named,
    NotDone,
    Outcome,
    Shape,
    Trial,
    What,
    problems_of,
    striking,
)

Words = tuple[str, ...]
DOWN = ("down", "sim.yaml", "--yes", "-o", "json")
WIPE = ("--wipe",)


def down_moments(ground: Ground, kinds: Collection[str] = BOUNDARIES, words: Words = ()) -> list[Moment]:
    """Every moment of these kinds in taking a cluster apart that nothing interrupts. Raises RuntimeError where that
    does not end well."""
    with ground.trial() as trial:
        _made(trial)
        code = trial.clusterup(*DOWN, *words)
        said = trial.log.read_text().rpartition("$ clusterup down")[2]
        problems = _not_clean(trial, words)
        if code or problems:
            raise RuntimeError(f"exit code {code}; {'; '.join(problems)}\n{trial.log.read_text()[-6000:]}")
    named = Named()
    found = [named(json.loads(line)) for line in said.splitlines() if line.startswith("{")]
    return [moment for moment in found if moment[0] in kinds]


def down_tried(ground: Ground, what: What, moment: Moment, words: Words = ()) -> Outcome:
    """One trial: a cluster, which is taken apart with an interruption, and again until that is done; then it is made
    again. Its folder is left where something was not as it should be."""
    began = time.monotonic()
    with ground.trial() as trial:
        times, problems = 0, []
        try:
            _made(trial)
            trial.before = shorten_waits if what is What.POWER else as_it_is
            times = _struck_and_finished(trial, what, moment, words)
            problems = _not_clean(trial, words)
            problems += _expect(0, trial.apply(), "making it again")
            problems += problems_of(trial, ground)
        except (Stuck, NotDone) as error:
            problems = [f"{error}: see {trial.log}", *trial.wire.do("look")["complaints"]]
        outcome = Outcome(what, moment, times, tuple(problems), time.monotonic() - began)
        if outcome.converged:
            shutil.rmtree(trial.folder)
    return outcome


def one_was_off(ground: Ground) -> list[str]:
    """What is not as it should be when s1 is off while the others are taken apart and made again, and comes back."""
    with ground.trial() as trial:
        _made(trial)
        trial.wire.do("off", "s1")
        trial.before = _impatient
        wrong = _expect(3, trial.clusterup(*DOWN), "down without s1")
        wrong += _says(trial, "s1 was not reached: what is on it is still there", "clusterup down sim.yaml --only s1")
        trial.before = as_it_is
        wrong += _expect(3, trial.apply(), "apply without s1")
        trial.wire.do("on")
        trial.wire.do("jump", seconds=LEASE_SECONDS + 1)
        wrong += _expect(4, trial.apply(), "apply with a machine of an earlier life")
        wrong += _says(trial, "left over from an earlier life", "clusterup down --only s1")
        wrong += _expect(4, trial.clusterup(*DOWN, "--only", "s2"), "down of one node of the living cluster")
        wrong += _says(trial, "s2: down: it is part of the cluster as it is now")
        wrong += _expect(0, trial.clusterup(*DOWN, "--only", "s1"), "down of the one that was off")
        wrong += _expect(0, trial.apply(), "apply with all machines")
        # That etcd was founded while s1 had data of the earlier life is as it should be.
        found = [problem for problem in problems_of(trial, ground) if "founded etcd while s1 had" not in problem]
        return _with_log(trial, wrong + found)


def dead_quorum(ground: Ground) -> list[str]:
    """What is not as it should be when two of three servers are off for good."""
    with ground.trial() as trial:
        _made(trial)
        for name in ("s2", "s3"):
            trial.wire.do("off", name)
        trial.before = _impatient
        wrong = _expect(3, trial.clusterup(*DOWN), "down with a dead quorum")
        there = trial.wire.do("look")["traces"]["s1"]
        return _with_log(trial, wrong + ([f"s1 has {there}"] if there else []))


def wiped_at_two_times(ground: Ground) -> list[str]:
    """What is not as it should be when disks are erased while a1 is off, and its own later."""
    with ground.trial() as trial:
        _made(trial)
        trial.wire.do("off", "a1")
        trial.before = _impatient
        wrong = _expect(3, trial.clusterup(*DOWN, *WIPE), "down --wipe without a1")
        wrong += _says(trial, "clusterup down sim.yaml --wipe --only a1")
        trial.wire.do("on")
        wrong += _expect(0, trial.clusterup(*DOWN, *WIPE), "down --wipe with a1")
        return _with_log(trial, wrong + _not_clean(trial, WIPE))


def typed_by_no_one(ground: Ground) -> list[str]:
    """What is not as it should be when no one is there to type the name, another is typed, and at last the right
    one."""
    with ground.trial() as trial:
        _made(trial)
        before = trial.wire.do("look")
        wrong = _expect(4, trial.clusterup("down", "sim.yaml"), "down with no one to ask")
        wrong += _expect(4, trial.clusterup("down", "sim.yaml", "--confirm", "prod"), "down of another name")
        after = trial.wire.do("look")
        wrong += [f"{what} is not as before" for what in ("traces", "nodes", "clusters") if after[what] != before[what]]
        wrong += _expect(0, trial.clusterup("down", "sim.yaml", "--confirm", "sim"), "down")
        return _with_log(trial, wrong + _not_clean(trial, ()))


def _made(trial: Trial) -> None:
    if code := trial.apply():
        raise NotDone(f"no cluster to begin with, exit code {code}")


def _struck_and_finished(trial: Trial, what: What, moment: Moment, words: Words) -> int:
    struck = trial.folder / "struck"
    code = trial.clusterup(*DOWN, *words, strike=striking(trial, what, moment, struck))
    if not struck.exists() or (what is What.KILL and code != -signal.SIGKILL):
        raise NotDone(f"the moment never came, exit code {code}")
    for times in range(MOST_APPLIES + 1):
        trial.wire.do("on")
        trial.wire.do("jump", seconds=LEASE_SECONDS + 1)
        code = trial.clusterup(*DOWN, *words)
        if not code:
            return times + 1
    raise NotDone(f"down still ends with exit code {code}")


def _not_clean(trial: Trial, words: Words) -> list[str]:
    """What is not as it should be when a cluster has been taken apart."""
    seen: dict[str, Any] = trial.wire.do("look")
    wrong = [*seen["complaints"], *seen["failures"]]
    wrong += [f"{name} has {', '.join(there)}" for name, there in seen["traces"].items() if there]
    wanted = "live" if words == WIPE else "installed"
    wrong += [f"{name} is {system}" for name, system in seen["systems"].items() if system != wanted]
    kept = {path.name for path in (trial.folder / "state/clusterup/clusters/sim").iterdir()}
    life = kept & {"pki", ".pki.removed", "etcd-founded", "handovers", "ending"}
    wrong += [f"{', '.join(sorted(life))} is kept of its life"] if life else []
    if words == WIPE and kept != {"journal.jsonl", "lock"}:
        wrong.append(f"{', '.join(sorted(kept))} is kept of it")
    if (trial.folder / "sim.kubeconfig").exists():
        wrong.append("the kubeconfig is still there")
    return wrong + _expect(0, trial.clusterup(*DOWN, *words), "down once more")


def _expect(wanted: int, code: int, what: str) -> list[str]:
    return [] if code == wanted else [f"{what} ends with {code}, not {wanted}"]


def _says(trial: Trial, *words: str) -> list[str]:
    log = trial.log.read_text()
    return [f"no one says {text!r}" for text in words if text not in log]


def _with_log(trial: Trial, wrong: list[str]) -> list[str]:
    return [*wrong, trial.log.read_text()[-20000:]] if wrong else []


def _impatient() -> None:
    from bootstrap.lock.guard import Guard

    shorten_waits()
    (Guard.__init__.__kwdefaults__ or {})["answer_seconds"] = 1.0


CHECKS: dict[str, tuple[Shape, Callable[[Ground], list[str]]]] = {
    "one was off": (Shape(3, 1), one_was_off),
    "a dead quorum": (Shape(3, 0), dead_quorum),
    "wiped at two times": (Shape(1, 1), wiped_at_two_times),
    "typed by no one": (Shape(1, 0), typed_by_no_one),
}


def main() -> None:
    """Try each once."""
    seen: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (shape, check)) in enumerate(CHECKS.items()):
            place = Path(folder) / str(number)
            place.mkdir()
            seen[name] = check(Ground.prepared(place, shape))
    sys.stdout.write(json.dumps(seen, indent=1) + "\n")


if __name__ == "__main__":
    main()
