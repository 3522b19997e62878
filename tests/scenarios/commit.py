"""What is tested, as git knows it. A tree without git has no commit, and is tested all the same."""

from __future__ import annotations

import math
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.order import COMMITS, FOLDER, WITHIN, Submission
from tests.scenarios.record import CHANGED, NO_GIT, Record

RECORD = f"{FOLDER}/record.json"
# Bringing the record into the repository makes no other program of it.
PROGRAM = ("--", ".", f":(exclude){RECORD}")
A_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which runs may have left no record, in seconds since the epoch. It may go on."""

    since: int
    until: float = math.inf


def submission(root: Path, gap: Gap | None, now: float) -> Submission:
    """What the tree in `root` is: the commit that last changed something else than the record. The commits of the `gap`
    are counted, where there is one. Where they can't be, they were too many."""
    if _git(root, "rev-parse", "--show-toplevel") != str(root.resolve()):
        return Submission(NO_GIT, int(now) // A_DAY, _too_many(gap, now))
    commit = _git(root, "rev-list", "-1", "HEAD", *PROGRAM) or _git(root, "rev-parse", "HEAD")
    if not commit:
        return Submission(NO_GIT, int(now) // A_DAY, _too_many(gap, now))
    changes = _git(root, "status", "--porcelain", *PROGRAM)
    # A number that each commit has, also where the history is cut off, and that no rhythm of commits keeps the same.
    turn = int(commit[:8], 16)
    return Submission(commit + ("" if changes == "" else CHANGED), turn, _commits_in(root, gap, now))


def gap_between(committed: Record, cached: Record) -> Gap | None:
    """When runs may have left no record: from the newest run of the repository's record on, or where it has none from
    its oldest pass on, until the first one that this machine remembers after that. None where there is no such time."""
    if committed.runs:
        newest = max(committed.runs, key=lambda run: run.at)
        if newest.commit in {run.commit for run in cached.runs}:
            return None
        since = newest.at
    elif committed.passed:
        since = min(seen.at for seen in committed.passed.values())
    else:
        return None
    return Gap(since, min((run.at for run in cached.runs if run.at > since), default=math.inf))


def _commits_in(root: Path, gap: Gap | None, now: float) -> tuple[int, ...]:
    if gap is None:
        return ()
    if _git(root, "rev-parse", "--is-shallow-repository") != "false":
        return _too_many(gap, now)
    said = _git(root, "log", "--format=%ct", f"--since=@{gap.since}", "HEAD", *PROGRAM)
    return _too_many(gap, now) if said is None else tuple(at for at in map(int, said.split()) if at <= gap.until)


def _too_many(gap: Gap | None, now: float) -> tuple[int, ...]:
    """As many commits as make everything from before the gap too old."""
    return () if gap is None else (int(min(gap.until, now)),) * (WITHIN * COMMITS)


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where it can't answer."""
    try:
        done = subprocess.run(
            # A tree of somebody else's is looked at, not worked with.
            ["git", "-c", f"safe.directory={root.resolve()}", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
