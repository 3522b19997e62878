"""A bundle of a few KiB that is a bundle all the same, and what a machine finds on a disk that it was written to."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from backports import zstd

from bootstrap.image.bundle import Artifact, Bundle, Partition, Segment
from bootstrap.image.disk.configuration import LABEL
from bootstrap.image.disk.segments import HEAD
from bootstrap.image.files import bundle_as_data
from bootstrap.image.manifest import write_manifest
from tests.helpers.worlds import COMPONENTS
from tests.simulator.machines.disk import Disk

MIB = 1 << 20
# Where the data of the image is, and its size, as in a real one: partitions with free space between them, and all but
# the last stretch whole MiB.
DATA = ((4 * MIB, MIB), (21 * MIB, 70_000))
PLACE = Partition(LABEL, 2 * MIB, MIB)
RAW_SIZE = 24 * MIB
VERSION = "1"
_GROWN = b"partitions grown"


class NotWhole(Exception):
    """A disk with a partition table that lacks something else: no machine starts from it."""


def small_bundle(folder: Path) -> Bundle:
    """A bundle with a real manifest, an image of four partitions, a payload and a container image."""
    folder.mkdir(parents=True)
    noise = random.Random(1)
    segments: list[Segment] = []
    packed = bytearray()
    for offset, size in ((0, HEAD), *DATA):
        data = noise.randbytes(4096) + bytes(size - 4096)
        frame = zstd.compress(data, 1)
        segments.append(Segment(offset, size, hashlib.sha256(data).hexdigest(), len(packed), len(frame)))
        packed += frame
    (folder / "os.raw.zst").write_bytes(packed)
    (folder / "payload.raw").write_bytes(noise.randbytes(20_000))
    (folder / "pause.tar").write_bytes(noise.randbytes(3_000))
    image = bundle_as_data("os", folder / "os.raw.zst", partitions=(PLACE,))
    artifacts = [
        replace(image, raw_size=RAW_SIZE, segments=tuple(segments)),
        bundle_as_data(
            "payload",
            folder / "payload.raw",
            components=COMPONENTS,
        ),
        bundle_as_data("image/pause", folder / "pause.tar", reference="clusterup.local/pause:1"),
    ]
    made = Bundle(folder, VERSION, {artifact.name: artifact for artifact in artifacts})
    write_manifest(made)
    return made


@dataclass(frozen=True)
class System:
    """What an installed system starts with: the files below /etc of its configuration (path -> content and mode), and
    the configuration's SHA-256."""

    etc: dict[str, tuple[bytes, int]]
    configuration: str


def has_table(image: Artifact, disk: Disk) -> bool:
    """Whether the partition table of `image` is on the disk, as it was written or as the first boot left it."""
    head = disk.read(0, image.segments[0].size)
    as_written = head[: -len(_GROWN)] + bytes(len(_GROWN)) if head.endswith(_GROWN) else head
    return hashlib.sha256(as_written).hexdigest() == image.segments[0].sha256


def grow(image: Artifact, disk: Disk) -> None:
    """What the first boot does to the table: it makes partitions in the rest of the disk."""
    disk.write(image.segments[0].size - len(_GROWN), _GROWN)


def system_on(image: Artifact, disk: Disk) -> System | None:
    """The system that the firmware finds on a disk, or None where there is none. Raises NotWhole where a partition
    table leads to something that was not written whole."""
    if not has_table(image, disk):
        return None
    for segment in image.segments[1:]:
        if hashlib.sha256(disk.read(segment.offset, segment.size)).hexdigest() != segment.sha256:
            raise NotWhole(f"the image's data at {segment.offset} is not what was installed")
    end = 0
    for segment in image.segments:
        if segment.offset > end and not end <= PLACE.offset < segment.offset and disk.filled(end, segment.offset - end):
            raise NotWhole(f"there is something between {end} and {segment.offset}, where the image is empty")
        end = segment.offset + segment.size
    archive = _etc_tar(disk.read(PLACE.offset, PLACE.size))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        etc = {f"/etc/{entry.name}": (_content(tar, entry), entry.mode) for entry in tar.getmembers()}
    return System(etc, hashlib.sha256(archive).hexdigest())


def _etc_tar(partition: bytes) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        file.write(partition)
        file.flush()
        done = subprocess.run(["mtype", "-i", file.name, "::etc.tar"], capture_output=True, check=False)
    if done.returncode:
        raise NotWhole(f"no configuration: {done.stderr.decode()}")
    return done.stdout


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    handle = tar.extractfile(entry)
    return handle.read() if handle else b""
