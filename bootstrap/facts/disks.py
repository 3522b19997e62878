"""Disks: which one the inventory means, and how one is described to a person."""

from __future__ import annotations

from collections.abc import Iterable

from bootstrap.facts.model import DiskFacts


def find_disk(disks: Iterable[DiskFacts], wanted: str) -> DiskFacts | None:
    """The disk that `wanted` means: a path in /dev, one of its by-id names, or "serial:SERIAL"."""
    for disk in disks:
        if wanted in (disk.path, *disk.aliases, f"serial:{disk.serial}"):
            return disk
    return None


def described(disk: DiskFacts) -> str:
    """As in "/dev/vda (8.0 GiB, serial lab-s1, empty)"."""
    parts = [
        human_size(disk.size),
        disk.model,
        f"serial {disk.serial}" if disk.serial else "",
        disk.contents or ("in use" if disk.in_use else "empty"),
    ]
    return f"{disk.path} ({', '.join(part for part in parts if part)})"


def human_size(size: float) -> str:
    """Bytes in the unit that reads best, as in "8.0 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
