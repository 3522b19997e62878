"""The files behind a machine's disks: raw and sparse when new, after a restore an overlay on what was saved."""

from __future__ import annotations

from pathlib import Path

RAW, OVERLAY = "raw", "qcow2"


def drive(folder: Path, place: str, name: str) -> str:
    """What QEMU's -drive needs to know of the file behind the disk `name` ("disk", "stick") of the machine whose folder
    is `folder` here, and `place` where QEMU runs."""
    kind = OVERLAY if (folder / f"{name}.{OVERLAY}").exists() else RAW
    return f"format={kind},file={place}/{name}.{kind}"
