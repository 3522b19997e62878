"""Which encoding a line carries: tried with every byte there is, not assumed."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.protocol.compression import can_go_raw
from bootstrap.transport.serial.protocol.encodings import PADDING, Encoding, encoded
from bootstrap.transport.serial.protocol.messages import MessageKind, Op, Verdict
from bootstrap.transport.serial.protocol.session import Conversation

EVERY_BYTE = bytes(range(256)) + bytes(range(255, -1, -1))
TRIES = 4
"""A line with an error in 10,000 bytes damages all four of them once in 100,000 times."""


def find_encoding(talk: Conversation, allowed: Sequence[Encoding] = tuple(Encoding)) -> Encoding:
    """The first of those allowed that brings every byte to the far side; OCTAL (or COUNTED) where none does.

    A line that is lost by raw bytes (a program that takes one of them as a command to itself) is opened again and
    spared them. Raises TransportError.
    """
    for encoding in allowed:
        possible = can_go_raw(talk.far) if encoding is Encoding.RAW else talk.far.base64
        if encoding in (Encoding.RAW, Encoding.BASE64) and possible and _carries(talk, encoding):
            return encoding
    return last_resort(talk)


def last_resort(talk: Conversation) -> Encoding:
    """What every line and every shell takes."""
    return Encoding.OCTAL if talk.far.counted else Encoding.COUNTED


def _carries(talk: Conversation, encoding: Encoding) -> bool:
    text = encoded(EVERY_BYTE, encoding)
    numbers = (0, len(EVERY_BYTE), talk.far.sum(EVERY_BYTE), int(encoding), text.count)
    for _ in range(TRIES):
        try:
            request = talk.send(Op.CHUNK, *numbers, sequence=0, then=(text.wire + PADDING,))
            answer = talk.answer_to(request, talk.pace.wait(len(text.wire)) + 1.5)
        except LineLost as error:
            talk.revive(error)
            return False
        if answer and answer.kind == MessageKind.STATE and answer.numbers[5] == Verdict.GOOD:
            return True
    return False
