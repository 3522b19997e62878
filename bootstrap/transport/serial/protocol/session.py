"""Requests and answers over a line that loses some of both, and that may itself be lost and opened again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat
from time import monotonic

from bootstrap.transport.errors import AuthenticationFailed, LineLost, TransportError
from bootstrap.transport.outcome import ChannelLost
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.protocol.bootstrap import Silent, install
from bootstrap.transport.serial.protocol.checksums import Sum, md5sum, posix_cksum, sha256sum
from bootstrap.transport.serial.protocol.encodings import output_length
from bootstrap.transport.serial.protocol.errors import given_up, silent, too_little
from bootstrap.transport.serial.protocol.messages import Answer, Marks, MessageKind, Op, random_word, request_line
from bootstrap.transport.serial.protocol.parser import Listener
from bootstrap.transport.serial.protocol.rate import SendRate

LONGEST_WAIT = 5.0
FAR_QUIET = 1.5
"""Seconds without a byte after which the far side waits for no more of a chunk: its terminal ends a read after one."""
FLOWING = 0.4
"""Seconds without a byte after which the rest of an answer is not coming."""
REVIVALS = 3
"""Times that a line is opened again without an answer in between."""
RETRY_AFTER = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class FarSide:
    """What the node has: the sum it takes, which encodings go in and out, which programs unpack."""

    sum: Sum
    base64: bool
    hexadecimal: bool
    counted: bool
    gzip: bool
    zstd: bool
    tr: bool
    pipes: bool
    raw: bool
    whole_lines: bool

    @classmethod
    def of(cls, can: int) -> FarSide | None:
        """What the far side said that it can do (far.sh, the beginning); None when it is too little."""
        sums: tuple[Sum | None, ...] = (None, posix_cksum, md5sum, sha256sum)
        found = sums[can & 3]
        if found is None or not can & (16 | 32):
            return None
        counted = bool(can & 64)
        return cls(
            sum=found,
            base64=bool(can & 8) and counted,
            hexadecimal=not can & 16,
            counted=counted,
            gzip=bool(can & 128),
            zstd=bool(can & 256),
            tr=bool(can & 512),
            pipes=bool(can & 1024),
            raw=bool(can & 2048) and counted,
            whole_lines=bool(can & 2048),
        )


class Conversation:
    """With the far side of one line. Not for several threads at once.

    `reopen` opens the line and gets a root shell on it; `patience` are the seconds that a line may say nothing,
    `comeback` those that a lost one is given to come back.
    """

    def __init__(self, node: str, reopen: Callable[[], Line], *, patience: float, comeback: float) -> None:
        self.node = node
        self.pace = SendRate()
        self.sequence = 0
        self.closing = threading.Event()
        self.far: FarSide
        self.line: Line
        self._reopen = reopen
        self._patience = patience
        self._comeback = comeback
        self._marks = Marks.new()
        self._folder = f"clusterup-serial.{random_word(10)}"
        self._listener = Listener(self._marks.theirs, self._text_length)
        self._request = 0
        self._heard_at = monotonic()
        self._revivals = 0
        self._started = False
        self._byte_at = 0.0

    def begin(self, line: Line | None = None) -> None:
        """Have a far side to talk to, on an open line with a shell if one is given. Raises TransportError."""
        self.line = line or self._reopen()
        try:
            self._greet()
        except Silent as error:
            self.line.close()
            raise self._silent(error.tried) from None
        except BaseException:
            self.line.close()
            raise

    def next_sequence(self) -> int:
        """The number of the next command."""
        self.sequence += 1
        return self.sequence

    def ask(self, op: Op, *numbers: int, data: bytes = b"") -> Answer:
        """Ask until there is an answer, over a line opened again where that is needed. Any request may arrive twice.

        Raises TransportError when there is none, ChannelLost when it is being closed.
        """
        wait, began = self.pace.wait(len(data)), monotonic()
        first = True
        while True:
            self.go_on()
            try:
                if answer := self.answer_to(self.send(op, *numbers, data=data), wait):
                    if first and op is Op.EXECUTE and answer.kind == MessageKind.STATE:
                        self.pace.turned(monotonic() - began)
                    return answer
                self.check_silence(began)
            except LineLost as error:
                self.revive(error)
            first = False
            wait = min(1.7 * wait, max(wait, LONGEST_WAIT))

    def go_on(self) -> None:
        """Raises ChannelLost when the conversation is being closed, so that whoever closes it need not wait."""
        if self.closing.is_set():
            raise ChannelLost("it was closed from here")

    def tell(self, op: Op) -> None:
        """A request that has no answer, and may be lost."""
        with suppress(LineLost):
            self.send(op)

    def send(
        self, op: Op, *numbers: int, data: bytes = b"", sequence: int | None = None, then: Iterable[bytes] = ()
    ) -> int:
        """Send a request and what follows it; returns its number. Raises LineLost."""
        self._request += 1
        number = self.sequence if sequence is None else sequence
        self.line.write(request_line(self._marks.ours, (self._request, op, number), numbers, data))
        for piece in then:
            self.line.write(piece)
        return self._request

    def listen(self, seconds: float) -> Answer | None:
        """The next answer, whatever to; None when none comes in time. Raises LineLost."""
        end = monotonic() + seconds
        while (answer := self._listener.answer()) is None:
            left = max(end - monotonic(), 0.0)
            if data := self.line.read(left):
                self._byte_at = monotonic()
                self._listener.hear(data)
                if self._listener.collecting:
                    end = max(end, self._byte_at + FLOWING)
            elif not left:
                if not self._listener.collecting or monotonic() - self._byte_at < FLOWING:
                    return None
                answer = self._listener.cut_short()
                break
        self._heard_at = monotonic()
        self._revivals = 0
        return answer

    def leave(self, wait: float) -> None:
        """Have the far side remove itself; nothing is raised when it can't be reached."""
        end = monotonic() + wait
        with suppress(LineLost):
            request = self.send(Op.LEAVE)
            # A command that is stopped by it may still tell its result.
            while (answer := self.listen(end - monotonic())) and answer.request != request:
                pass

    def check_silence(self, since: float) -> None:
        """Open the line again when nothing was heard for too long, counted from `since` at the earliest."""
        if monotonic() - max(self._heard_at, since) > self._patience:
            self.revive(None)

    def revive(self, lost: LineLost | None) -> None:
        """Open the line again, because it is lost or has been silent. Raises TransportError when that is no use."""
        described, seen = self.line.described, self._listener.seen
        self.line.close()
        self._listener.forget()
        self._revivals += 1
        if self._revivals > (REVIVALS if lost else 1) or self.closing.is_set():
            raise given_up(self.node, described, lost, seen) if lost else self._silent("to get an answer")
        end = monotonic() + (self._comeback if lost else 0.0)
        for pause in chain(RETRY_AFTER, repeat(RETRY_AFTER[-1])):
            try:
                self.line = self._reopen()
                self._greet()
            except AuthenticationFailed:
                raise
            except (TransportError, Silent) as error:
                failed = self._silent(error.tried) if isinstance(error, Silent) else error
            else:
                self._heard_at = monotonic()
                return
            self.line.close()
            if monotonic() + pause > end or self.closing.wait(pause):
                raise given_up(self.node, described, failed, seen)

    def _greet(self) -> None:
        """Find the far side where it was left, or start it (again)."""
        if self._started:
            # It may wait for the rest of a chunk, and would take a request for that.
            self.listen(FAR_QUIET)
            for _ in range(2):
                if self.answer_to(self.send(Op.STATE), max(1.0, self.pace.wait())):
                    return
        hello = install(self.line, self._listener, self._marks, self._folder, self._patience)
        far = FarSide.of(hello.numbers[0])
        if far is None or hello.numbers[1] != 1 << 40:
            missing = "one of cksum, md5sum and sha256sum, and one of base64 and od"
            raise too_little(
                self.node, self.line.described, missing if far is None else "a shell that counts with 64 bits"
            )
        self.far = far
        self._started = True

    def answer_to(self, request: int, wait: float) -> Answer | None:
        """The answer to a request, or the result of the current command; None after `wait` seconds. Raises LineLost."""
        end = monotonic() + wait
        while answer := self.listen(end - monotonic()):
            if answer.request == request or (answer.kind == MessageKind.RESULT and answer.sequence == self.sequence):
                return answer
        return None

    def _silent(self, tried: str) -> TransportError:
        return silent(self.node, self.line.described, tried, self._listener.seen)

    def _text_length(self, answer: Answer) -> int:
        *numbers, follows = answer.numbers
        if not follows:
            return 0
        sizes = (numbers[2],) if answer.kind == MessageKind.RANGE else (numbers[1], numbers[3])
        return sum(output_length(size, hexadecimal=self.far.hexadecimal) for size in sizes)
