"""The compressed disk image: which of its stretches are sent."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from backports import zstd

from bootstrap.image.disk.segments import gaps, pack, packed_chunks, unpacked_chunks

MIB = 1 << 20


def data(mebibytes: int) -> bytes:
    return os.urandom(mebibytes * MIB)


def zeros(mebibytes: int) -> bytes:
    return bytes(mebibytes * MIB)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (data(1), [(0, 1)]),
        (data(3), [(0, 1), (1, 2)]),
        (data(1) + zeros(3) + data(1), [(0, 1), (1, 4)]),
        (data(3) + zeros(16) + data(2), [(0, 1), (1, 2), (19, 2)]),
        (data(1) + zeros(20) + data(2), [(0, 1), (21, 2)]),
        (data(3) + zeros(20) + data(2) + zeros(30) + data(1), [(0, 1), (1, 2), (23, 2), (55, 1)]),
        (data(2) + zeros(20), [(0, 1), (1, 21)]),
    ],
)
def test_segments_are_where_the_data_is(tmp_path: Path, raw: bytes, expected: list[tuple[int, int]]) -> None:
    (tmp_path / "raw").write_bytes(raw)
    segments = pack(tmp_path / "raw", tmp_path / "packed", level=1)
    assert [(segment.offset // MIB, segment.size // MIB) for segment in segments] == expected
    for segment in segments:
        found = b"".join(unpacked_chunks(tmp_path / "packed", segment))
        assert found == raw[segment.offset : segment.offset + segment.size]
        assert hashlib.sha256(found).hexdigest() == segment.sha256


def test_segments_and_gaps_cover_the_image(tmp_path: Path) -> None:
    raw = data(2) + zeros(17) + data(1) + zeros(40) + data(1) + b"the end"
    (tmp_path / "raw").write_bytes(raw)
    segments = pack(tmp_path / "raw", tmp_path / "packed", level=1)
    covered = sorted([(segment.offset, segment.size) for segment in segments] + list(gaps(segments)))
    end = 0
    for offset, size in covered:
        assert offset == end
        end += size
    assert end == len(raw)
    assert all(raw[offset : offset + size] == bytes(size) for offset, size in gaps(segments))


def test_the_file_as_a_whole_unpacks_to_the_whole_image(tmp_path: Path) -> None:
    raw = data(2) + zeros(20) + data(1)
    (tmp_path / "raw").write_bytes(raw)
    pack(tmp_path / "raw", tmp_path / "packed", level=1)
    with zstd.open(tmp_path / "packed") as reader:
        assert reader.read() == raw


def test_a_segment_is_a_frame_that_any_zstd_unpacks(tmp_path: Path) -> None:
    raw = data(1) + zeros(3) + data(1)
    (tmp_path / "raw").write_bytes(raw)
    _, second = pack(tmp_path / "raw", tmp_path / "packed", level=1)
    frame = b"".join(packed_chunks(tmp_path / "packed", second))
    assert len(frame) == second.packed_size
    assert zstd.decompress(frame) == raw[MIB:]
