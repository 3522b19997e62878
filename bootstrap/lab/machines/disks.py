"""Putting a machine's disks aside, and giving them back: with qemu-img, out of the lab's tools tree.

What is saved is compressed and complete in itself, but for sticks: they are nearly the live image, and only what
differs from that is kept beside one copy of it. What is given back is an overlay on the saved file, which takes no time
and no room, and which goes on when the saved lab is forgotten (a hard link, where the file system has them).
Source: https://www.qemu.org/docs/master/tools/qemu-img.html
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.image.disk.copying import copy_image
from bootstrap.image.trees import run_in
from bootstrap.lab.machines.drives import OVERLAY, SAVED, drive_names, kind_of
from bootstrap.lab.machines.qemu import LAB_FOLDER

SAVES = "/run/saved"
STICK = "stick"
LIVE_IMAGE = "live.raw"
ROOM = "make room in the state and cache folders (XDG_STATE_HOME, XDG_CACHE_HOME), then run it again"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where disks are put aside: `lab` is the lab's folder, `saved` that of the saved lab, `tree` has the tools."""

    tree: Path
    lab: Path
    saved: Path

    def runs(self, *argv: str) -> None:
        """Run a tool on the files of both. Raises ClusterupError."""
        binds = {self.lab: LAB_FOLDER, self.saved: SAVES}
        try:
            run_in(self.tree, argv, log=lambda _: None, binds=binds, what=f"{argv[0]} {argv[1]}")
        except ClusterupError as error:
            error.step, error.hint = "lab", ROOM
            raise


def save_disks(shelf: Shelf, node: str) -> None:
    """Write the machine's disks into the folder of that name in the saved lab. Nothing may write to them meanwhile.

    Raises ClusterupError where there is no room.
    """
    has_live = (shelf.saved / LIVE_IMAGE).exists()
    for name in drive_names(shelf.lab / node):
        kind = kind_of(shelf.lab / node, name)
        source, target = f"{LAB_FOLDER}/{node}/{name}.{kind}", f"{SAVES}/{node}/{name}.{OVERLAY}"
        if name == STICK and has_live:
            shelf.runs("qemu-img", "create", "-q", "-f", OVERLAY, "-b", source, "-F", kind, target)
            shelf.runs("qemu-img", "rebase", "-q", "-f", OVERLAY, "-b", f"../{LIVE_IMAGE}", "-F", "raw", target)
        else:
            packed = ("-c", "-o", "compression_type=zstd", "-m", "4", "-W")
            shelf.runs("qemu-img", "convert", "-q", "-U", "-f", kind, "-O", OVERLAY, *packed, source, target)


def restore_disks(shelf: Shelf, node: str) -> None:
    """Give the machine of a new lab overlays on the disks that were saved."""
    for name in drive_names(shelf.saved / node):
        saved = f"{name}.{SAVED}"
        linked(shelf.saved / node / f"{name}.{OVERLAY}", shelf.lab / node / saved)
        overlay = f"{LAB_FOLDER}/{node}/{name}.{OVERLAY}"
        shelf.runs("qemu-img", "create", "-q", "-f", OVERLAY, "-b", saved, "-F", OVERLAY, overlay)


def linked(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system can't do that. Raises ClusterupError where there
    is no room for one."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        copy_image(source, target)


def size_of(folder: Path) -> int:
    """How many bytes all files below a folder take on the disk; one with several names in it counts once."""
    found = {(stat.st_dev, stat.st_ino): stat.st_blocks * 512 for stat in _stats(folder)}
    return sum(found.values())


def _stats(folder: Path) -> Sequence[os.stat_result]:
    return [path.stat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
