"""The compressed disk image: a zstd frame for each stretch of it, so that a node is sent the stretches with data alone.

The file still unpacks to the whole image with any zstd (frames may follow each other: RFC 8878, section 3). Half of a
disk image is free space of its file systems, though, which costs a node as much time to unpack, write and read back as
data does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bootstrap.content import Content, content_of
from bootstrap.image.bundle import Segment

HEAD = 1 << 20
"""The first segment's size in bytes: what holds the partition table, to be written last."""

PIECE = 1 << 20
# Shorter stretches of zeros are not worth a command of their own on a node.
SPARE = 16
CHUNK = 256 * 1024


def pack(raw: Path, packed: Path, *, level: int) -> tuple[Segment, ...]:
    """Compress a disk image and return its segments in their order: the head, then every stretch with data; offsets are
    multiples of 1 MiB. What no segment covers is zero. Raises OSError."""
    from backports import zstd

    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.checksum_flag: 1,
        zstd.CompressionParameter.nb_workers: os.cpu_count() or 1,
    }
    segments: list[Segment] = []
    with raw.open("rb") as source, packed.open("wb") as sink:
        for offset, size, data in _stretches(raw):
            digest, began = hashlib.sha256(), sink.tell()
            packer = zstd.ZstdCompressor(options=options)
            packer.set_pledged_input_size(size)
            for piece in _pieces(source, size):
                digest.update(piece)
                sink.write(packer.compress(piece))
            sink.write(packer.flush())
            if data:
                segments.append(Segment(offset, size, digest.hexdigest(), began, sink.tell() - began))
    return tuple(segments)


def packed_chunks(packed: Path | Content, segment: Segment) -> Iterator[bytes]:
    """The segment's frame as it stands in the file. Raises OSError."""
    with content_of(packed).open() as handle:
        handle.seek(segment.packed_offset)
        left = segment.packed_size
        while left and (chunk := handle.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def unpacked_chunks(packed: Path | Content, segment: Segment) -> Iterator[bytes]:
    """The segment's data. Raises OSError; ZstdError where the file is damaged."""
    from backports import zstd

    unpacker = zstd.ZstdDecompressor()
    for chunk in packed_chunks(packed, segment):
        yield unpacker.decompress(chunk)


def gaps(segments: tuple[Segment, ...]) -> tuple[tuple[int, int], ...]:
    """(offset, size) in bytes of each stretch of zeros between the segments."""
    ends = [segment.offset + segment.size for segment in segments]
    return tuple(
        (end, after.offset - end) for end, after in zip(ends, segments[1:], strict=False) if after.offset > end
    )


def _stretches(raw: Path) -> Iterator[tuple[int, int, bool]]:
    """(offset, size, whether there is data in it) of each stretch, from the beginning to the end of the file."""
    size = raw.stat().st_size
    yield 0, min(HEAD, size), True
    start, zeros, position = HEAD, 0, HEAD
    with raw.open("rb") as source:
        source.seek(HEAD)
        while piece := source.read(PIECE):
            empty = piece.count(0) == len(piece)
            if zeros >= SPARE and not empty:
                if position - zeros * PIECE > start:
                    yield start, position - zeros * PIECE - start, True
                yield position - zeros * PIECE, zeros * PIECE, False
                start = position
            zeros = zeros + 1 if empty else 0
            position += len(piece)
    if position > start:
        yield start, position - start, True


def _pieces(source: BinaryIO, size: int) -> Iterator[bytes]:
    left = size
    while left and (piece := source.read(min(PIECE, left))):
        left -= len(piece)
        yield piece
