"""Copies of disk images."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bootstrap.content import Content, content_of
from bootstrap.errors import ClusterupError

PIECE = 1 << 20


def copy_image(source: Path | Content, target: Path) -> None:
    """A copy of a disk image of mode 0600 that takes no room for its holes, nor any where the file system can
    share it. Raises ClusterupError where it can't be made."""
    image = content_of(source)
    target.touch(mode=0o600)
    if image.is_whole_file and _copied(image.file, target):
        return
    try:
        _copy_stretch(image, target)
    except OSError as error:
        raise _failed(image, target, error.strerror or str(error)) from None


def _copy_stretch(image: Content, target: Path) -> None:
    with image.open() as source, target.open("wb") as sink:
        while piece := source.read(PIECE):
            # What is zero becomes a hole.
            if piece.count(0) == len(piece):
                sink.seek(len(piece), os.SEEK_CUR)
            else:
                sink.write(piece)
        sink.truncate()


def _copied(source: Path, target: Path) -> bool:
    """Whether cp(1) made the copy, which can share it with the file system. Small systems have one that can't."""
    argv = ["cp", "--reflink=auto", "--sparse=always", "--", str(source), str(target)]
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _failed(source: Path | Content, target: Path, got: str) -> ClusterupError:
    return ClusterupError(
        "the USB stick with the live environment can't be made",
        step="lab up",
        tried=f"copy {source} to {target}",
        got=got,
        hint="make room in the state folder (XDG_STATE_HOME), then run it again",
    )
