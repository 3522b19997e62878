"""What a stream is packed in, and how far along it is said to be."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.transport.serial.protocol.compression import TELL_AFTER, Packing, packed

UNPACKERS = {
    Packing.NONE: ["cat"],
    Packing.GZIP: ["gzip", "-dc"],
    Packing.ZSTD: ["zstd", "-dcq"],
    Packing.FLIPPED: ["tr", r"\000-\377", r"\200-\377\000-\177"],
}


@pytest.mark.parametrize("packing", list(Packing))
@given(chunks=st.lists(st.binary(max_size=500), max_size=6))
@settings(max_examples=20, deadline=None)
def test_the_node_unpacks_what_was_packed(packing: Packing, chunks: list[bytes]) -> None:
    wire = b"".join(piece for piece, _ in packed(chunks, packing))
    ran = subprocess.run(UNPACKERS[packing], input=wire, capture_output=True, check=True)
    assert ran.stdout == b"".join(chunks)


@pytest.mark.parametrize("packing", [Packing.GZIP, Packing.ZSTD])
def test_what_is_told_can_be_unpacked_from_what_was_sent(packing: Packing) -> None:
    chunks = [bytes([number]) * (TELL_AFTER // 3) for number in range(10)]
    wire = b""
    for piece, told in packed(chunks, packing):
        wire += piece
        found = subprocess.run(UNPACKERS[packing], input=wire, capture_output=True, check=False).stdout
        assert len(found) >= told
    assert told == sum(map(len, chunks))


def test_no_line_of_a_script_goes_raw_as_it_is() -> None:
    script = b"\nrm -rf /somewhere\nreboot\n"
    wire = b"".join(piece for piece, _ in packed([script], Packing.FLIPPED))
    assert not set(wire) & set(script)
