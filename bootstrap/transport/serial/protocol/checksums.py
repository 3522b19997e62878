"""Sums that tell whether bytes arrived as they were, by whichever program the far side has."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable

Sum = Callable[[bytes], int]
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_HEX_DIGITS = 15
"""Digits of a hash that count: as much as a shell's signed 64-bit number holds."""


def posix_cksum(data: bytes) -> int:
    """What cksum(1) prints: CRC-32 with the highest bit first, the length behind the data (POSIX, cksum).

    zlib's CRC has the same polynomial with the lowest bit first, so it sees every byte mirrored.
    """
    length = len(data).to_bytes((len(data).bit_length() + 7) // 8, "little")
    mirrored = zlib.crc32(length.translate(_REVERSED), zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF))
    return int(f"{mirrored:032b}"[::-1], 2)


def md5sum(data: bytes) -> int:
    """The first 15 hexadecimal digits of an MD5, as a number."""
    return int(hashlib.md5(data, usedforsecurity=False).hexdigest()[:_HEX_DIGITS], 16)


def sha256sum(data: bytes) -> int:
    """The first 15 hexadecimal digits of a SHA-256, as a number."""
    return int(hashlib.sha256(data).hexdigest()[:_HEX_DIGITS], 16)
