"""What a stick that installs says about the disk, computed without ever having the whole image in memory."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from bootstrap.image.bundle import Artifact
from bootstrap.image.disk.segments import pack
from bootstrap.joining.usb import installed_sha256

MIB = 1 << 20


def image_of(folder: Path, content: bytes) -> Artifact:
    raw, packed = folder / "os.raw", folder / "os.raw.zst"
    raw.write_bytes(content)
    segments = pack(raw, packed, level=1)
    return Artifact("os", packed, packed.stat().st_size, "0" * 64, raw_size=len(content), segments=segments)


def test_the_hash_is_that_of_the_image_with_the_configuration_in_it(tmp_path: Path) -> None:
    noise = random.Random(1)
    content = noise.randbytes(3 * MIB) + bytes(40 * MIB) + noise.randbytes(2 * MIB) + bytes(20 * MIB)
    configuration = noise.randbytes(MIB // 2)
    image = image_of(tmp_path, content)
    # In data, across an edge of it, in the zeros between, at the very end.
    for at in (MIB, 3 * MIB - 1000, 20 * MIB, len(content) - len(configuration)):
        wanted = content[:at] + configuration + content[at + len(configuration) :]
        assert installed_sha256(image, configuration, at) == hashlib.sha256(wanted[MIB:]).hexdigest()
