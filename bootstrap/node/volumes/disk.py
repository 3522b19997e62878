"""Volumes on this node's disk: directories, each with a project of its own, whose quota the file system enforces.

Source: ext4(5) "prjquota", chattr(1), lsattr(1), setquota(8)
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootstrap.node.volumes.quantity import in_words

NAME = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What is being made or removed: the rest of a name comes after it.
NEW, GONE = ".new-", ".gone-"
# Far from what the kubelet numbers (1048577 and more) and from what a person does.
FIRST_PROJECT = 100_000
# An ext4 has an inode for so many bytes; a volume has as many as one of its size.
BYTES_FOR_A_FILE = 16 << 10
FEWEST_FILES = 1024
# A volume is for whatever user a pod runs as; who may use it at all is decided by who has the claim.
EVERYBODY = 0o777
KIB = 1 << 10
SECONDS = 60
# What stays free for the node itself where its volumes are on the same disk: images, logs, etcd.
KEPT_FREE = 4 << 30
KEPT_PART = 10
Run = Callable[..., str]


class NoRoom(Exception):
    """There is not enough left of the disk."""


def run(*argv: str, seconds: float | None = SECONDS) -> str:
    """What a program says. Raises what subprocess raises."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=seconds).stdout


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes in `folder`; `mounted` is whether a further disk has to be there. All methods raise OSError and
    subprocess.SubprocessError."""

    folder: Path
    run: Run = run
    mounted: bool = False

    @property
    def problem(self) -> str:
        """Why nothing can be done with volumes now, in words; empty where it can."""
        if self.mounted and not self.folder.is_mount():
            return f"the disk for volumes is not mounted on {self.folder}: see clusterup-volumes.service"
        return ""

    @property
    def enforced(self) -> bool:
        """Whether the file system keeps a directory from growing beyond its size."""
        options = self.run("findmnt", "-no", "OPTIONS", "-T", str(self.folder)).strip()
        return "prjquota" in options.split(",")

    def path(self, name: str) -> Path:
        """Where a volume is. Raises ValueError for a name that is no volume's: paths are made of it, and removed."""
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a volume")
        return self.folder / name

    def require_room(self, wanted: int, given: int) -> None:
        """Raise NoRoom where `wanted` bytes more than the `given` ones (of all volumes here) don't fit on the disk."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.statvfs(self.folder)
        whole = found.f_blocks * found.f_frsize
        kept = min(KEPT_FREE, whole // KEPT_PART) if self.folder.is_mount() else max(KEPT_FREE, whole // KEPT_PART)
        left = whole - kept - given
        if wanted > left:
            raise NoRoom(
                f"{in_words(wanted)} are wanted, and {in_words(left)} are left for volumes here: {in_words(whole)} is "
                f"the disk, {in_words(kept)} are kept for the node, {in_words(given)} are given"
            )

    def make(self, name: str, size: int) -> Path:
        """A directory of at most `size` bytes; as it is, where there is one."""
        path = self.path(name)
        if not path.exists():
            new = self.folder / f"{NEW}{name}"
            new.mkdir(exist_ok=True)
            if self.enforced:
                self.run("chattr", "-p", str(self._free_project()), "+P", str(new))
            new.chmod(EVERYBODY)
            self._limit(new, size)
            new.rename(path)
        else:
            self._limit(path, size)
        return path

    def resize(self, name: str, size: int) -> None:
        """Let it grow to `size` bytes."""
        self._limit(self.path(name), size)

    def remove(self, name: str) -> None:
        """Delete a volume with everything in it. One that is half gone goes on from there."""
        path, gone = self.path(name), self.folder / f"{GONE}{name}"
        if path.exists():
            path.rename(gone)
        if not gone.exists():
            return
        project = self._project(gone)
        # A large one takes as long as it takes.
        self.run("rm", "-rf", "--one-file-system", "--", str(gone), seconds=None)
        if project >= FIRST_PROJECT:
            self._set_limit(project, 0, 0)

    @property
    def half_gone(self) -> tuple[str, ...]:
        """The names of those whose removal was begun, and has not ended."""
        if not self.folder.exists():
            return ()
        found = (path.name.removeprefix(GONE) for path in self.folder.iterdir() if path.name.startswith(GONE))
        return tuple(sorted(name for name in found if NAME.fullmatch(name)))

    def _limit(self, path: Path, size: int) -> None:
        project = self._project(path)
        if project >= FIRST_PROJECT:
            self._set_limit(project, -(-size // KIB), max(FEWEST_FILES, size // BYTES_FOR_A_FILE))

    def _set_limit(self, project: int, kibibytes: int, files: int) -> None:
        mount = self.run("findmnt", "-no", "TARGET", "-T", str(self.folder)).strip()
        self.run("setquota", "-P", str(project), "0", str(kibibytes), "0", str(files), mount)

    def _project(self, path: Path) -> int:
        """Its project's number, 0 where the file system has none."""
        if not self.enforced:
            return 0
        return int(self.run("lsattr", "-pd", str(path)).split(maxsplit=1)[0])

    def _free_project(self) -> int:
        used = {self._project(path) for path in self.folder.iterdir() if path.is_dir()}
        return next(number for number in range(FIRST_PROJECT, FIRST_PROJECT + len(used) + 1) if number not in used)
