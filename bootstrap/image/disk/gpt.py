"""Reading a GUID partition table out of an image file (UEFI specification 2.10, chapter 5.3)."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import ClusterupError

SECTOR = 512
ENTRY = struct.Struct("<16s16sQQQ72s")


@dataclass(frozen=True, slots=True)
class GptPartition:
    """One partition: its label (PARTLABEL), GUIDs, and where it lies, in bytes."""

    label: str
    type: uuid.UUID
    uuid: uuid.UUID
    offset: int
    size: int


def read_gpt(image: Path) -> tuple[GptPartition, ...]:
    """The partitions of a raw disk image with sectors of 512 bytes, in the table's order.

    Raises ClusterupError where the file holds no GPT.
    """
    with image.open("rb") as handle:
        handle.seek(SECTOR)
        header = handle.read(SECTOR)
        if not header.startswith(b"EFI PART"):
            raise ClusterupError(
                f"{image} holds no partition table (GPT)",
                step="image build",
                tried="read its second sector",
                got=repr(header[:8]),
                hint="build the image again: clusterup image build",
            )
        table, count, size = struct.unpack_from("<QII", header, 72)
        handle.seek(table * SECTOR)
        entries = handle.read(count * size)
    found = (_partition(entries[start : start + size]) for start in range(0, count * size, size))
    return tuple(partition for partition in found if partition is not None)


def _partition(entry: bytes) -> GptPartition | None:
    kind, identity, first, last, _, name = ENTRY.unpack_from(entry)
    if not any(kind):
        return None
    return GptPartition(
        label=name.decode("utf-16-le").split("\0")[0],
        type=uuid.UUID(bytes_le=kind),
        uuid=uuid.UUID(bytes_le=identity),
        offset=first * SECTOR,
        size=(last - first + 1) * SECTOR,
    )


def copy_partition(image: Path, label: str, target: Path) -> None:
    """Copy the contents of the partition `label` of `image` to the file `target`.

    Raises ClusterupError where there is no such partition.
    """
    partition = next((found for found in read_gpt(image) if found.label == label), None)
    if partition is None:
        raise ClusterupError(
            f"{image} has no partition {label}",
            step="image build",
            got=", ".join(found.label for found in read_gpt(image)),
            hint="build the image again: clusterup image build",
        )
    with image.open("rb") as source, target.open("wb") as sink:
        source.seek(partition.offset)
        left = partition.size
        while left and (block := source.read(min(left, 1 << 20))):
            sink.write(block)
            left -= len(block)
