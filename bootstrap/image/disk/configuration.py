"""The configuration partition CLUSTERUP: a small FAT file system made on the operator's side with mtools.

It holds `etc.tar` (what the node's initrd lays over the image's /etc), `etc.sha256`, and in `image.sha256` which disk
image it goes with. The node needs no FAT tools to be configured: the finished file system is written to the partition's
offset. It is the same bytes for the same contents, so that a disk can be seen to hold it.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.host.programs import require_programs

LABEL = "CLUSTERUP"
# What mtools writes as the time of every file: the beginning of FAT's time.
EPOCH = "315532800"


@dataclass(frozen=True, slots=True)
class EtcFile:
    """A file below /etc: `path` relative to it, `mode` as in chmod; owned by root."""

    path: str
    content: bytes
    mode: int = 0o644


def etc_tar(files: Sequence[EtcFile]) -> bytes:
    """An uncompressed tar of the files, the same bytes for the same files in any order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in sorted(files, key=lambda file: file.path):
            entry = tarfile.TarInfo(file.path)
            entry.size = len(file.content)
            entry.mode = file.mode
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def configuration_image(files: Sequence[EtcFile], *, image: str, size: int) -> bytes:
    """A FAT file system of `size` bytes, labelled CLUSTERUP, with the files as `etc.tar`; `image` is the SHA-256 of the
    disk image that it goes with.

    Raises ClusterupError when mtools is missing or the files don't fit.
    """
    require_programs("mformat", "mcopy", step="configuration partition")
    archive = etc_tar(files)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        system = place / "fat"
        with system.open("wb") as handle:
            handle.truncate(size)
        (place / "etc.tar").write_bytes(archive)
        (place / "etc.sha256").write_text(f"{hashlib.sha256(archive).hexdigest()}  etc.tar\n")
        (place / "image.sha256").write_text(f"{image}\n")
        # A serial number of its own would make two images of the same files differ.
        _mtools(["mformat", "-i", str(system), "-v", LABEL, "-N", "c1057e00", "-T", str(size // 512), "::"])
        contents = [str(place / name) for name in ("etc.tar", "etc.sha256", "image.sha256")]
        _mtools(["mcopy", "-i", str(system), *contents, "::"])
        return system.read_bytes()


def _mtools(argv: Sequence[str]) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ClusterupError(
            "the configuration partition could not be made",
            tried=argv[0],
            got=done.stderr.strip()[-300:],
            hint="too much configuration for its partition, or a full temporary folder",
        )
