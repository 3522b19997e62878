"""How bytes are written on a line that may not carry all of them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

PADDING = b"\n##############\n"
"""Follows every chunk. Where bytes were lost, the far side reads on into it, and need not wait for what never comes."""
LINE = 1024
"""Characters of a line of base64. A terminal that collects lines takes no more than 4095."""
OCTAL_LINE = 640
# A shell that gets such a word instead of the far side makes nothing of it: no character in it means anything to it.
_INERT = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,+@")
_WORDS = tuple(bytes([byte]) if byte in _INERT else b"\\%03o" % byte for byte in range(256))
NOTHING = b"%s"
"""A word that printf(1) makes nothing of."""


class Encoding(IntEnum):
    """Of a chunk. RAW: as it is. BASE64: lines of it. OCTAL: lines for printf(1), most bytes in them as \\ooo. COUNTED:
    the same for a far side that has nothing to read a number of bytes with, and reads lines."""

    RAW = 0
    BASE64 = 1
    OCTAL = 2
    COUNTED = 3


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chunk as it goes over the line; `count` is what the far side has to read, in bytes or, with COUNTED, lines."""

    wire: bytes
    count: int


def printf_word(data: bytes) -> bytes:
    """One word that printf(1) turns back into the data; no shell sees anything in it but a word."""
    return b"".join(map(_WORDS.__getitem__, data)) or NOTHING


def encoded(data: bytes, encoding: Encoding) -> Encoded:
    """The data as a chunk, without what follows it."""
    if encoding is Encoding.RAW:
        return Encoded(data, len(data))
    if encoding is Encoding.BASE64:
        text = base64.b64encode(data)
        wire = b"\n".join(text[at : at + LINE] for at in range(0, len(text), LINE)) + b"\n"
        return Encoded(wire, len(wire))
    words = [printf_word(piece) for piece in printf_pieces(data, OCTAL_LINE)]
    wire = b"".join(word + b"\n" for word in words)
    return Encoded(wire, len(wire) if encoding is Encoding.OCTAL else len(words))


def printf_pieces(data: bytes, length: int) -> Iterator[bytes]:
    """The data in pieces, at least one, whose words for printf(1) are no longer than `length` characters."""
    begin = used = 0
    for at, byte in enumerate(data):
        size = len(_WORDS[byte])
        if used + size > length:
            yield data[begin:at]
            begin, used = at, 0
        used += size
    yield data[begin:]


def decoded_output(text: bytes, sizes: tuple[int, ...], *, hexadecimal: bool) -> list[bytes] | None:
    """Outputs of these sizes (bytes) out of the text that followed an answer; None when it is too short or none."""
    found: list[bytes] = []
    try:
        for size in sizes:
            length = output_length(size, hexadecimal=hexadecimal)
            piece, text = text[:length], text[length:]
            found.append(bytes.fromhex(piece.decode()) if hexadecimal else base64.b64decode(piece, validate=True))
    except (ValueError, binascii.Error):
        return None
    return found if [len(piece) for piece in found] == list(sizes) else None


def output_length(size: int, *, hexadecimal: bool) -> int:
    """Characters that an output of `size` bytes is written in, line ends aside."""
    return 2 * size if hexadecimal else (size + 2) // 3 * 4
