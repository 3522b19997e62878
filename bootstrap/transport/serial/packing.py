"""What a stream is packed in before it is cut into chunks."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Protocol

from bootstrap.transport.serial.conversation import FarSide
from bootstrap.transport.serial.encodings import Encoding

WORTH_IT = 2048
"""Bytes that are worth a program more on the node."""
GZIP = 31
"""zlib's window size that stands for gzip's format."""
_FLIPPED = bytes(byte ^ 128 for byte in range(256))


class Packing(IntEnum):
    """How a stream is unpacked on the node. FLIPPED: the highest bit of every byte is the other way round."""

    NONE = 0
    GZIP = 1
    ZSTD = 2
    FLIPPED = 3


def packing_for(far: FarSide, encoding: Encoding, total: int) -> Packing:
    """The best that the far side can unpack.

    Raw bytes never go unpacked: should a shell get them instead of the far side, it must not find commands in them.
    """
    if total >= WORTH_IT or encoding is Encoding.RAW:
        if far.zstd:
            return Packing.ZSTD
        if far.gzip:
            return Packing.GZIP
    return Packing.FLIPPED if encoding is Encoding.RAW else Packing.NONE


def can_go_raw(far: FarSide) -> bool:
    """Whether there is a packing for raw bytes."""
    return far.raw and (far.zstd or far.gzip or far.tr)


def packed(chunks: Iterable[bytes], packing: Packing) -> Iterator[tuple[bytes, int]]:
    """The stream, packed, in pieces: each with the bytes of the original that have gone into it and those before it."""
    taken = 0
    if packing in (Packing.NONE, Packing.FLIPPED):
        for chunk in chunks:
            taken += len(chunk)
            yield (chunk if packing is Packing.NONE else chunk.translate(_FLIPPED)), taken
        return
    packer = _packer(packing)
    for chunk in chunks:
        taken += len(chunk)
        yield packer.compress(chunk), taken
    yield packer.flush(), taken


class _Packer(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _packer(packing: Packing) -> _Packer:
    if packing is Packing.GZIP:
        return zlib.compressobj(6, zlib.DEFLATED, GZIP)
    import zstandard

    return zstandard.ZstdCompressor(level=6).compressobj()
