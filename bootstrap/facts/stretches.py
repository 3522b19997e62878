"""The stretches of a disk by which an installation can be seen."""

from __future__ import annotations

from bootstrap.image.bundle import Artifact
from bootstrap.image.disk.configuration import LABEL

StretchOfDisk = tuple[str, int, int]
"""Name, offset and size in bytes, multiples of 64 KiB."""
HEAD = "head"


def stretches(image: Artifact) -> tuple[StretchOfDisk, ...]:
    """What has to be known of a disk to see whether it was written; nothing where the bundle does not say where on it
    things are."""
    places = [partition for partition in image.partitions if partition.label == LABEL]
    if not places or not image.segments:
        return ()
    return (HEAD, 0, image.segments[0].size), (LABEL, places[0].offset, places[0].size)
