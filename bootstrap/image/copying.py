"""Copies of disk images."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bootstrap.errors import ClusterupError


def copy_image(source: Path, target: Path) -> None:
    """A copy of a disk image of mode 0600 that takes no room for its holes, nor any where the file system can
    share it. Raises ClusterupError where it can't be made."""
    target.touch(mode=0o600)
    done = subprocess.run(
        ["cp", "--reflink=auto", "--sparse=always", "--", str(source), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ClusterupError(
            "the USB stick with the live environment can't be made",
            step="lab up",
            tried=f"copy {source} to {target}",
            got=done.stderr.strip()[-300:],
            hint="make room in the state folder (XDG_STATE_HOME), then run it again",
        )
