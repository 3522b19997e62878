"""Distinguished Encoding Rules, read strictly: one way to write each thing, all others refused. Source: X.690."""

from __future__ import annotations


def element(data: bytes, start: int) -> tuple[int, bytes, int]:
    """One element: its tag, its content, and where the next one begins. Lengths are definite and as short as can be.
    Raises ValueError."""
    if start + 2 > len(data):
        raise ValueError("it is cut off")
    kind, first = data[start], data[start + 1]
    if kind & 0x1F == 0x1F:
        raise ValueError("it has a tag of more than one byte")
    begin, length = start + 2, first
    if first >= 0x80:
        size = first & 0x7F
        length = int.from_bytes(data[begin : begin + size], "big")
        if not 1 <= size <= 3 or data[begin : begin + 1] == b"\x00" or length < 0x80:
            raise ValueError("a length in it is not written as DER has it")
        begin += size
    if begin + length > len(data):
        raise ValueError("it is cut off")
    return kind, data[begin : begin + length], begin + length
