"""A git repository as tests need it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class Repository:
    """A repository in `root`, whose commits are made by somebody without a configuration."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q")
        (root / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n/cache/\n")

    def git(self, *arguments: str, at: int | None = None) -> str:
        """git, as typed, at a time in seconds since the epoch. Returns its standard output."""
        dates = {} if at is None else {"GIT_AUTHOR_DATE": f"@{at} +0000", "GIT_COMMITTER_DATE": f"@{at} +0000"}
        done = subprocess.run(
            ["git", "-C", str(self.root), "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments],
            env={**os.environ, **dates},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commits(self, path: str, content: str, at: int | None = None) -> str:
        """A commit of everything, with this file changed. Returns its name."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", path, at=at)
        return self.git("rev-parse", "HEAD")
