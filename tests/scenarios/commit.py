"""What is tested, as git knows it. A tree without git has no commit, and is tested all the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.scenarios.order import FOLDER, Submission
from tests.scenarios.record import CHANGED, NO_GIT, Record

RECORD = f"{FOLDER}/record.json"
# Bringing the record into the repository makes no other program of it.
PROGRAM = ("--", ".", f":(exclude){RECORD}")
A_DAY = 24 * 3600


def submission(root: Path, since: int | None, now: float) -> Submission:
    """What the tree in `root` is: the commit that last changed something else than the record. Commits are counted
    after `since` (seconds since the epoch); None where each run leaves its record, and none have to be."""
    if _git(root, "rev-parse", "--show-toplevel") != str(root.resolve()):
        return Submission(NO_GIT, int(now) // A_DAY)
    commit = _git(root, "rev-list", "-1", "HEAD", *PROGRAM) or _git(root, "rev-parse", "HEAD")
    if not commit:
        return Submission(NO_GIT, int(now) // A_DAY)
    changes = _git(root, "status", "--porcelain", *PROGRAM)
    times = "" if since is None else _git(root, "log", "--format=%ct", f"--since=@{since}", "HEAD", *PROGRAM)
    # A number that each commit has, also where the history is cut off, and that no rhythm of commits keeps the same.
    turn = int(commit[:8], 16)
    return Submission(commit + (CHANGED if changes else ""), turn, tuple(map(int, times.split())))


def since_when(committed: Record, cached: Record) -> int | None:
    """Since when runs may have left no record: since the newest run of the repository's record, or where it has none
    since its oldest pass. None where this machine remembers a run that is as new."""
    runs = max((run.at for run in committed.runs), default=None)
    if cached.runs and (runs is None or max(run.at for run in cached.runs) >= runs):
        return None
    return min((seen.at for seen in committed.passed.values()), default=None) if runs is None else runs


def _git(root: Path, *arguments: str) -> str:
    """What git prints; nothing where it can't answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
