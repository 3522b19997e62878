"""What a stream is packed in before it is cut into chunks."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from bootstrap.transport.serial.protocol.encodings import Encoding
from bootstrap.transport.serial.protocol.session import FarSide

WORTH_IT = 2048
"""Bytes that are worth a program more on the node."""
TELL_AFTER = 32 * 1024
"""Bytes after which what a packer holds back is called for, so that progress can be told."""
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
    """The stream, packed, in pieces: each with the bytes of the original that are in it and those before it."""
    taken = told = 0
    packer = _packer(packing)
    for chunk in chunks:
        taken += len(chunk)
        piece = packer.add(chunk)
        if taken - told >= TELL_AFTER:
            piece += packer.pause()
            told = taken
        yield piece, told
    yield packer.end(), taken


@dataclass(frozen=True, slots=True)
class _Packer:
    """`pause` gives what is held back of what was added; `end` does, and nothing is added after it."""

    add: Callable[[bytes], bytes]
    pause: Callable[[], bytes]
    end: Callable[[], bytes]


def _packer(packing: Packing) -> _Packer:
    match packing:
        case Packing.GZIP:
            gzip = zlib.compressobj(6, zlib.DEFLATED, GZIP)
            return _Packer(gzip.compress, lambda: gzip.flush(zlib.Z_SYNC_FLUSH), gzip.flush)
        case Packing.ZSTD:
            from backports import zstd

            frame = zstd.ZstdCompressor(level=6)
            return _Packer(frame.compress, lambda: frame.flush(frame.FLUSH_BLOCK), frame.flush)
        case Packing.FLIPPED:
            return _Packer(lambda data: data.translate(_FLIPPED), bytes, bytes)
        case Packing.NONE:
            return _Packer(bytes, bytes, bytes)
