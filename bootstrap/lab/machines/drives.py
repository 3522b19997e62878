"""Which file is behind a disk of a machine: raw and sparse when new, after a restore an overlay on what was saved.

`NAME.raw` is the whole disk. `NAME.qcow2` is an overlay on `NAME.saved.qcow2`, what was saved, which is never written
to. A raw file counts first: who puts one beside an overlay has put another disk into the machine.
"""

from __future__ import annotations

from pathlib import Path

RAW, OVERLAY, SAVED = "raw", "qcow2", "saved.qcow2"


def kind_of(folder: Path, name: str) -> str:
    """The format of the file that counts for the disk `name` ("disk", "stick") of the machine whose folder it is."""
    overlay = (folder / f"{name}.{OVERLAY}").exists() and not (folder / f"{name}.{RAW}").exists()
    return OVERLAY if overlay else RAW


def drive_names(folder: Path) -> list[str]:
    """The names of all disks in a machine's folder, ordered."""
    files = [path.name.partition(".") for path in folder.iterdir() if path.is_file()]
    return sorted({name for name, _, kind in files if kind in (RAW, OVERLAY)})


def drive(folder: Path, place: str, name: str) -> str:
    """What QEMU's -drive needs to know of the file behind the disk `name`; `folder` is `place` where QEMU runs."""
    kind = kind_of(folder, name)
    return f"format={kind},file={place}/{name}.{kind}"
