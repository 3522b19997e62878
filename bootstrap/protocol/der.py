"""Distinguished Encoding Rules, read strictly: one way to write each thing, all others refused. Source: X.690."""

from __future__ import annotations

INTEGER, BIT_STRING, OID, SEQUENCE = 0x02, 0x03, 0x06, 0x30


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


def all_of(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element, to the last byte. Raises ValueError."""
    found, position = [], 0
    while position < len(data):
        kind, content, position = element(data, position)
        found.append((kind, content))
    return found


def parts(data: bytes, *kinds: int) -> list[bytes]:
    """The contents of exactly these elements, one after the other. Raises ValueError."""
    found = all_of(data)
    if [kind for kind, _ in found] != [*kinds]:
        raise ValueError("it has other parts than it should have")
    return [content for _, content in found]


def only(data: bytes, kind: int) -> bytes:
    """The content of the only element. Raises ValueError."""
    return parts(data, kind)[0]


def oid_text(content: bytes) -> str:
    """An object identifier as people write it, "2.5.29.17". Raises ValueError. Source: X.690, section 8.19."""
    numbers, number = [], 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not content or content[-1] & 0x80 or len(content) > 64:
        raise ValueError("it has an object identifier that can't be read")
    first, *rest = numbers
    return ".".join(str(each) for each in (min(first // 40, 2), first - 40 * min(first // 40, 2), *rest))
