"""Bytes to the standard input of a command, in chunks that are sent until each arrived as it was.

Two chunks may be on the way: while the far side looks at one, the beginning of the next already goes over the line, as
much of it as a terminal holds for somebody who is not reading. What arrives behind a gap is kept there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

from bootstrap.transport.errors import LineLost
from bootstrap.transport.outcome import ChannelLost
from bootstrap.transport.serial.protocol.encodings import PADDING, Encoding, encoded
from bootstrap.transport.serial.protocol.messages import Answer, Flag, MessageKind, Op, Phase, Verdict
from bootstrap.transport.serial.protocol.rate import SMALLEST
from bootstrap.transport.serial.protocol.session import Conversation

AHEAD = 3072
"""Bytes that may be on the way to a far side that is not reading: a terminal holds 4095."""
SLICE = 2048
WIDTH = {Encoding.RAW: 1.0, Encoding.BASE64: 1.37, Encoding.OCTAL: 3.3, Encoding.COUNTED: 3.3}
"""Characters on the wire for a byte."""
FIRST_LOOK, LONGEST_LOOK = 0.005, 1.0
PATIENT = 2
"""Answers in a row that say that the command has not taken what it was given, after which no more is sent to it."""
STUCK = 40
"""Times that the same chunk may arrive damaged."""


@dataclass(slots=True)
class _Sent:
    request: int
    at: int
    end: int
    wire: int
    since: float


class Feed:
    """The input of the command with the current sequence number. `progress` is told how many bytes are there, counted
    as `pieces` counts them."""

    def __init__(
        self,
        talk: Conversation,
        pieces: Iterator[tuple[bytes, int]],
        encoding: Encoding,
        progress: Callable[[int], None],
    ) -> None:
        self._talk = talk
        self._pieces = pieces
        self._encoding = encoding
        self._progress = progress
        self._data = bytearray()
        self._begin = 0  # where in the stream the data that is kept begins
        self._complete = False
        self._at = 0
        self._held = (0, 0)
        self._flags = Flag(0)
        self._way: deque[_Sent] = deque()
        self._marks: deque[tuple[int, int]] = deque()
        self._failures = 0
        self._waiting = 0
        self._answered = 0.0

    def run(self, deadline: float) -> Answer | None:
        """Send everything and say that it is all. Returns what was last heard of the command: its result if it ended
        meanwhile; None when the time was up before. Raises ChannelLost, TransportError, and what `pieces` raises."""
        look = FIRST_LOOK
        while monotonic() < deadline:
            self._talk.go_on()
            waits = self._waiting >= PATIENT
            try:
                if not waits and len(self._way) < 2 and (cut := self._next()):
                    ended = self._send(*cut)
                    look = FIRST_LOOK
                elif self._way:
                    ended = self._await()
                else:
                    op = Op.END if self._complete and self._at == self._end else Op.STATE
                    answer = self._talk.ask(op, self._end, 0, 0, 0, 0, self._talk.pace.inline)
                    ended = self._take(answer)
                    if op is Op.END and not self._flags & Flag.OPEN:
                        return ended or answer
                    # It has not taken yet what it was given, and may end without.
                    ended = ended or self._take(self._talk.listen(look))
                    look = min(2 * look, LONGEST_LOOK)
            except LineLost as error:
                self._way.clear()
                self._talk.revive(error)
                ended = self._take(self._talk.ask(Op.STATE))
            if ended:
                return ended
        return None

    @property
    def _end(self) -> int:
        return self._begin + len(self._data)

    def _next(self) -> tuple[int, int] | None:
        """What to send next: from where to where; None when all is on the way or there."""
        there = sorted([(sent.at, sent.end) for sent in self._way] + [self._held])
        at = self._at
        for begin, end in there:
            if begin <= at < end:
                at = end
        if self._at < self._held[0] <= at:
            return None  # the far side keeps no more than one chunk behind a gap
        size = max(SMALLEST // 4, int(self._talk.pace.size / WIDTH[self._encoding]))
        self._fill(at + size)
        end = min([at + size, self._end, *(begin for begin, _ in there if begin > at)])
        return (at, end) if end > at else None

    def _fill(self, end: int) -> None:
        while not self._complete and self._end < end:
            piece = next(self._pieces, None)
            if piece is None:
                self._complete = True
            else:
                self._data += piece[0]
                self._marks.append((self._end, piece[1]))

    def _send(self, at: int, end: int) -> Answer | None:
        data = bytes(self._data[at - self._begin : end - self._begin])
        text = encoded(data, self._encoding)
        wire = text.wire + PADDING
        ahead = bool(self._way)
        since = monotonic()
        numbers = (at, len(data), self._talk.far.sum(data), int(self._encoding), text.count)
        self._way.append(_Sent(self._talk.send(Op.CHUNK, *numbers), at, end, len(wire), since))
        ended = None
        # Once it is begun it has to be sent to its end: the far side counts what it reads.
        for start in range(0, len(wire), SLICE):
            if ahead and start + SLICE > AHEAD:
                ended = self._take(self._talk.listen(self._talk.pace.wait(self._way[0].wire))) or ended
                ahead = False
            self._talk.line.write(wire[start : start + SLICE])
            ended = self._take(self._talk.listen(0.0)) or ended
        return ended

    def _await(self) -> Answer | None:
        answer = self._talk.listen(self._talk.pace.wait(sum(sent.wire for sent in self._way)))
        if answer is None:
            # The request or the answer is lost. Nothing more is sent before the far side has said that it is there.
            self._talk.pace.damaged(self._way[0].wire)
            self._way.clear()
            answer = self._talk.ask(Op.STATE, 0, 0, 0, 0, 0, self._talk.pace.inline)
        return self._take(answer)

    def _take(self, answer: Answer | None) -> Answer | None:
        """Learn from an answer; the answer, if it says that the command needs no more."""
        if answer is None or answer.sequence > self._talk.sequence:
            return None
        if answer.sequence < self._talk.sequence:
            if answer.kind != MessageKind.STATE or answer.request not in {sent.request for sent in self._way}:
                return None
            raise ChannelLost("the node knows nothing of it any more, it may have been restarted")
        if answer.kind == MessageKind.RESULT:
            return answer
        if answer.kind != MessageKind.STATE:
            return None
        phase, at, held_at, held_size, flags, verdict = answer.numbers
        self._settle(answer.request, verdict)
        self._flags, self._held = Flag(flags), (held_at, held_at + held_size)
        self._waiting = self._waiting + 1 if held_size and held_at == at else 0
        if not self._begin <= at <= self._end:
            raise ChannelLost(f"the node has {at} bytes of it, of which {self._begin} to {self._end} were sent")
        if at > self._at:
            self._at = at
            self._drop()
        if phase in (Phase.ENDED, Phase.LOST):
            return answer
        if self._flags & Flag.BROKEN:
            raise ChannelLost("the node could not keep what was sent: its memory may be full")
        return None

    def _settle(self, request: int, verdict: int) -> None:
        """A chunk was answered: those sent before it are, too, or never will be."""
        if request not in {sent.request for sent in self._way}:
            return
        while (sent := self._way.popleft()).request != request:
            pass
        now = monotonic()
        if verdict == Verdict.GOOD:
            self._failures = 0
            self._talk.pace.carried(sent.wire, now - max(sent.since, self._answered))
        else:
            self._failures += 1
            self._talk.pace.damaged(sent.wire)
            if self._failures > STUCK:
                raise ChannelLost(f"the same {sent.end - sent.at} bytes arrived damaged {STUCK} times")
        self._answered = now

    def _drop(self) -> None:
        del self._data[: self._at - self._begin]
        self._begin = self._at
        done = None
        while self._marks and self._marks[0][0] <= self._at:
            done = self._marks.popleft()[1]
        if done is not None:
            self._progress(done)
