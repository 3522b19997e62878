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
# What is not for volumes. Where the node's own things are on the same disk, the kubelet begins to remove images when a
# quarter of it is left: full volumes alone must not bring it there.
SHARED_PART, SHARED_MORE = 4, 4 << 30
FURTHER_PART, FURTHER_MOST = 10, 4 << 30
Run = Callable[..., str]


class NoRoom(Exception):
    """There is not enough left of the disk."""


def kept_of_shared(whole: int) -> int:
    """Bytes that are not for volumes on the disk of the micro OS, which has so many."""
    return whole // SHARED_PART + min(SHARED_MORE, whole // SHARED_PART)


def kept_of_further(whole: int) -> int:
    """Bytes that are not for volumes on a disk of their own, which has so many."""
    return min(FURTHER_MOST, whole // FURTHER_PART)


def run(*argv: str, seconds: float | None = SECONDS) -> str:
    """What a program says. Raises what subprocess raises."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=seconds).stdout


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes in `folder`; `mounted_by` is the unit that mounts a further disk there, empty where none has to. All
    methods raise OSError and subprocess.SubprocessError."""

    folder: Path
    run: Run = run
    mounted_by: str = ""

    @property
    def problem(self) -> str:
        """Why nothing can be done with volumes now, in words; empty where it can."""
        if self.mounted_by and not self.folder.is_mount():
            return f"the disk for volumes is not mounted on {self.folder}: see {self.mounted_by}"
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

    def require_room(self, size: int, others: int, *, more: int) -> None:
        """Raise NoRoom where a volume of `size` bytes does not fit beside the `others` (bytes of all), or the disk has
        not `more` bytes left, whoever took them."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.statvfs(self.folder)
        whole, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        kept = kept_of_further(whole) if self.folder.is_mount() else kept_of_shared(whole)
        left = min(whole - kept - others, free + size - more)
        if size > left:
            raise NoRoom(
                f"{in_words(size)} are wanted, and {in_words(left)} are left for volumes here: {in_words(whole)} is "
                f"the disk, {in_words(free)} of it free; {in_words(kept)} are kept for the node, {in_words(others)} "
                "are other volumes'"
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
