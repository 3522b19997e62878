"""What both sides of a serial line say to each other: short lines of numbers, each with a mark and a check.

    MARK REQUEST OP SEQUENCE A B C D E F CHECK [SCRIPT STDIN]
    MARK REQUEST KIND SEQUENCE A B C D E F CHECK

The marks are random, one for each direction, and known to no one but the two sides; REQUEST says which request an
answer is to. A line without the mark or with another check is noise. What the numbers mean is said at `Op` and
`MessageKind`.
The far side's half is in templates/node/serial.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

MODULUS = 2147483629
"""The largest prime below 2^31 but one: what a check is calculated modulo."""
ALPHABET = string.ascii_lowercase + string.digits
FIELDS = 9
LONGEST_ANSWER = 400
"""Bytes that no answer's first line reaches."""


class Op(IntEnum):
    """What the far side is asked for. `SEQUENCE` counts commands; each is run once, however often it is asked for.

    STATE    the command's state, or its result with outputs of up to F bytes in it
    EXECUTE  run SCRIPT with STDIN: A time-out in seconds, B and C size and sum of the script, D and E of the input,
             F bytes of outputs that may come with the result
    FEED     as EXECUTE, with an input that comes in chunks, unpacked in way F; or with E 1 and 2 begin the file
             "script" or "stdin" for the next command
    CHUNK    B bytes of the input from A on, with sum C, follow in encoding D, E bytes (or lines) of it
    END      the input is complete, with A bytes; answered as STATE
    RANGE    of output A (1 or 2) the bytes from B on, C of them
    STOP     end the command; answered as STATE
    CLEAN    the result is here: forget it. No answer
    LEAVE    remove everything and go back to the shell
    """

    STATE = 1
    EXECUTE = 2
    FEED = 3
    CHUNK = 4
    END = 5
    RANGE = 6
    STOP = 7
    CLEAN = 8
    LEAVE = 9


class MessageKind(IntEnum):
    """What an answer is.

    STATE   A phase, B bytes of the input that were taken in order, C and D beginning and size of a chunk that waits, E
            flags, see `Flag`, F verdict
    RESULT  A exit status, B and C size and sum of standard output, D and E of the error output, F 1 when they follow
    END     of what follows an answer
    RANGE   A output, B beginning, C size, D sum, F 1: it follows
    HELLO   A what the far side can do, B 2^40 where its numbers reach that far
    BYE     it has gone back to the shell
    """

    STATE = 1
    RESULT = 2
    END = 3
    RANGE = 4
    HELLO = 6
    BYE = 7


class Phase(IntEnum):
    """Where a command is. LOST: it was killed, and has no exit status."""

    NONE = 0
    RUNNING = 1
    ENDED = 2
    LOST = 3


class Flag(IntFlag):
    """BUSY: the command has not taken yet what it was given. BROKEN: it could not be handed on. OPEN: the end of its
    input was not told yet."""

    BUSY = 1
    BROKEN = 2
    OPEN = 4


class Verdict(IntEnum):
    """What the far side found when it compared sums."""

    NONE = 0
    GOOD = 1
    DAMAGED_CHUNK = 2
    DAMAGED_COMMAND = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """A line from the far side; `numbers` are A to F, `data` the text that followed it, encoded."""

    request: int
    kind: int
    sequence: int
    numbers: tuple[int, ...]
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Marks:
    """What our lines (`ours`) and those of the far side (`theirs`) begin with."""

    ours: str
    theirs: str

    @classmethod
    def new(cls) -> Marks:
        return cls(random_word(), random_word())


def random_word(length: int = 12) -> str:
    """Lower-case letters and digits that no one can guess, a letter first."""
    return "x" + "".join(secrets.choice(ALPHABET) for _ in range(length - 1))


def check_of(numbers: Iterable[int]) -> int:
    """The check of a line's numbers."""
    check = 0
    for number in numbers:
        check = (check * 31 + number) % MODULUS
    return check


def request_line(mark: str, request: tuple[int, Op, int], numbers: tuple[int, ...], data: bytes = b"") -> bytes:
    """A request (its number, what for, its sequence number) with its numbers, six of them or fewer, and a line end
    before it that ends whatever noise is there."""
    fields = (*map(int, request), *numbers, *(0,) * (6 - len(numbers)))
    line = f"\n{mark} {' '.join(map(str, fields))} {check_of(fields)}".encode()
    return line + (b" " + data if data else b"") + b"\n"


def parsed_answer(line: bytes) -> Answer | None:
    """The answer in a line, its mark already taken off; None when it is damaged."""
    words = line.split()
    if len(words) != FIELDS + 1 or not all(word.isdigit() and len(word) < 20 for word in words):
        return None
    *fields, check = map(int, words)
    if check_of(fields) != check:
        return None
    return Answer(fields[0], fields[1], fields[2], tuple(fields[3:]))
