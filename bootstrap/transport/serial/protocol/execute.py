"""One command over a serial line: run once however often it is asked for, its outputs fetched until they are right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import monotonic

from bootstrap.transport.errors import LineLost
from bootstrap.transport.outcome import KEPT_OUTPUT, MORE_THAN_OURS, ChannelLost, ChannelTimeout, CommandOutcome
from bootstrap.transport.serial.protocol.encodings import decoded_output, printf_word
from bootstrap.transport.serial.protocol.messages import Answer, MessageKind, Op, Phase, Verdict
from bootstrap.transport.serial.protocol.session import Conversation

LEFT = b"-"
"""In the place of a script or an input: it is on the node already."""
BLOCK = 512
LARGEST_RANGE = 48 * 1024
STOPPING = 10.0
"""Seconds a command may take to end once it was told to."""
FIRST_LOOK, LONGEST_LOOK = 0.3, 5.0
MOST_ASKED = 50
"""Times that the same thing is asked for, damaged every time."""


@dataclass(frozen=True, slots=True)
class PreparedCommand:
    """A script or an input: its size and sum, and the word it travels as."""

    size: int
    sum: int
    word: bytes


def prepared(talk: Conversation, data: bytes, word: bytes | None = None) -> PreparedCommand:
    """As it travels inside a request; with `word` LEFT it is there already."""
    return PreparedCommand(len(data), talk.far.sum(data), printf_word(data) if word is None else word)


def start(talk: Conversation, script: PreparedCommand, stdin: PreparedCommand, timeout: float) -> Answer:
    """Have a command run as the next one; returns the first answer that says that it was taken on."""
    talk.next_sequence()
    numbers = (seconds(timeout), script.size, script.sum, stdin.size, stdin.sum, talk.pace.inline)
    return taken_on(talk, Op.EXECUTE, numbers, script.word + b" " + stdin.word)


def taken_on(talk: Conversation, op: Op, numbers: tuple[int, ...], data: bytes) -> Answer:
    """Ask for the command with the current sequence number until the far side has it as it is. Raises ChannelLost."""
    for _ in range(MOST_ASKED):
        answer = talk.ask(op, *numbers, data=data)
        if answer.sequence == talk.sequence:
            return answer
        if answer.kind == MessageKind.STATE and answer.numbers[5] == Verdict.DAMAGED_COMMAND:
            talk.pace.damaged(len(data))
    raise ChannelLost("the command arrived damaged every time")


def seconds(timeout: float) -> int:
    """The far side's own time-out, a little longer than ours, which says more when it strikes."""
    return math.ceil(timeout) + MORE_THAN_OURS


def outcome(talk: Conversation, answer: Answer | None, deadline: float) -> CommandOutcome:
    """What the command with the current sequence number gives back once it has ended; ended by us at `deadline`.

    `answer` is what was last heard of it. Raises ChannelTimeout, ChannelLost, TransportError.
    """
    stopped = False
    look = FIRST_LOOK
    while True:
        talk.go_on()
        if answer is not None:
            found = _read(talk, answer)
            if found is not None:
                if stopped:
                    raise ChannelTimeout(found.stderr)
                return found
        left = deadline - monotonic()
        if left <= 0:
            if stopped:
                raise ChannelTimeout(b"")
            stopped = True
            deadline = monotonic() + STOPPING
            answer = talk.ask(Op.STOP, 0, 0, 0, 0, 0, talk.pace.inline)
            continue
        try:
            answer = talk.listen(min(look, left))
        except LineLost as error:
            talk.revive(error)
            answer = None
        if answer is None:
            look = min(1.5 * look, LONGEST_LOOK)
            answer = talk.ask(Op.STATE, 0, 0, 0, 0, 0, talk.pace.inline)


def _read(talk: Conversation, answer: Answer) -> CommandOutcome | None:
    """The outcome, if the answer says that there is one."""
    if answer.sequence < talk.sequence:
        if answer.kind == MessageKind.STATE and answer.numbers[0] != Phase.RUNNING:
            raise ChannelLost("no exit status: the node knows nothing of it any more, it may have been restarted")
        return None
    if answer.kind == MessageKind.STATE and answer.numbers[0] == Phase.LOST:
        raise ChannelLost("no exit status: it was killed")
    if answer.kind != MessageKind.RESULT:
        return None
    status, *sizes_and_sums, follows = answer.numbers
    sizes, sums = tuple(sizes_and_sums[0::2]), sizes_and_sums[1::2]
    if follows:
        outputs = decoded_output(answer.data, sizes, hexadecimal=talk.far.hexadecimal)
        if outputs is None or any(
            data and talk.far.sum(data) != right for data, right in zip(outputs, sums, strict=True)
        ):
            talk.pace.damaged(len(answer.data))
            outputs = None
    else:
        outputs = None
    if outputs is None:
        outputs = [_fetched(talk, number, size) for number, size in enumerate(sizes, 1)]
    if any(sizes):
        talk.tell(Op.CLEAN)
    return CommandOutcome(status, outputs[0], outputs[1])


def _fetched(talk: Conversation, number: int, size: int) -> bytes:
    """Output 1 or 2, its last 8 MiB, in ranges that are asked for until each is right."""
    at = max(0, size - KEPT_OUTPUT) // BLOCK * BLOCK
    pieces: list[bytes] = []
    while at < size:
        piece = _range(talk, number, at, size - at)
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)[-KEPT_OUTPUT:]


def _range(talk: Conversation, number: int, at: int, left: int) -> bytes:
    for _ in range(MOST_ASKED):
        wanted = min(left, LARGEST_RANGE, talk.pace.size)
        wanted = max(1, -(-wanted // BLOCK)) * BLOCK
        began = monotonic()
        answer = talk.ask(Op.RANGE, number, at, wanted, 0, 0, 0)
        if answer.kind != MessageKind.RANGE or answer.numbers[:2] != (number, at):
            continue
        size, right = answer.numbers[2:4]
        found = decoded_output(answer.data, (size,), hexadecimal=talk.far.hexadecimal)
        if found is not None and size and talk.far.sum(found[0]) == right:
            talk.pace.carried(len(answer.data), monotonic() - began)
            return found[0][:left]
        talk.pace.damaged(len(answer.data))
    raise ChannelLost("its output arrived damaged every time")
