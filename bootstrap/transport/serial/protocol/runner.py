"""How a command travels: inside one request where it is short, in chunks where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from bootstrap.transport.outcome import ChannelLost, ChannelTimeout, CommandOutcome
from bootstrap.transport.serial.protocol.compression import Packing, packed, packing_for
from bootstrap.transport.serial.protocol.encodings import Encoding
from bootstrap.transport.serial.protocol.execute import LEFT, outcome, prepared, seconds, start, taken_on
from bootstrap.transport.serial.protocol.messages import MessageKind, Op
from bootstrap.transport.serial.protocol.probe import find_encoding, last_resort
from bootstrap.transport.serial.protocol.session import Conversation
from bootstrap.transport.serial.protocol.stdin import Feed

SCRIPT_FILE, INPUT_FILE = 1, 2
SHORT_LINE = 400


class Errands:
    """Runs commands over a conversation. Of the encodings that are allowed the first is used that the line carries."""

    def __init__(self, talk: Conversation, allowed: Sequence[Encoding]) -> None:
        self._talk = talk
        self._allowed = allowed
        self._encoding: Encoding | None = None

    def run(self, script: str, stdin: bytes, timeout: float) -> CommandOutcome:
        """Run a script with that standard input; `timeout` in seconds.

        Raises ChannelTimeout, ChannelLost, TransportError.
        """
        talk = self._talk
        if len(stdin) > self._short:
            return self.feed(script, (stdin,), len(stdin), timeout, lambda _: None)
        deadline = monotonic() + timeout
        word = self._script(script.encode(), deadline)
        answer = start(talk, prepared(talk, script.encode(), word), prepared(talk, stdin), timeout)
        return outcome(talk, answer, deadline)

    def feed(
        self,
        script: str,
        chunks: Iterable[bytes],
        total: int,
        timeout: float,
        progress: Callable[[int], None],
    ) -> CommandOutcome:
        """Run a script whose standard input are the chunks, `total` bytes; otherwise as `run`. What `chunks` and
        `progress` raise ends the command."""
        talk = self._talk
        deadline = monotonic() + timeout
        if not talk.far.pipes:
            # Nothing can be handed on while the script runs: its input is put there in whole before.
            data = b"".join(chunks)
            self._put(INPUT_FILE, data, deadline, progress)
            word = self._script(script.encode(), deadline)
            ready = prepared(talk, script.encode(), word), prepared(talk, data, LEFT)
            return outcome(talk, start(talk, *ready, timeout), deadline)
        encoding = self._best()
        packing = packing_for(talk.far, encoding, total)
        word = self._script(script.encode(), deadline)
        there = prepared(talk, script.encode(), word)
        talk.next_sequence()
        numbers = (seconds(timeout), there.size, there.sum, 0, 0, int(packing))
        taken_on(talk, Op.FEED, numbers, there.word + b" -")
        try:
            answer = Feed(talk, packed(chunks, packing), encoding, progress).run(deadline)
        except BaseException:
            talk.tell(Op.STOP)
            raise
        return outcome(talk, answer, deadline)

    def _script(self, script: bytes, deadline: float) -> bytes | None:
        """See that a long script is on the node; what then stands for it in a request, None where it travels there."""
        if len(script) <= self._short:
            return None
        self._put(SCRIPT_FILE, script, deadline, lambda _: None)
        return LEFT

    @property
    def _short(self) -> int:
        """Bytes that go with a request. A terminal that collects lines takes no more than 4095 characters of one."""
        return self._talk.pace.inline if self._talk.far.whole_lines else min(self._talk.pace.inline, SHORT_LINE)

    def _put(self, which: int, data: bytes, deadline: float, progress: Callable[[int], None]) -> None:
        talk = self._talk
        talk.next_sequence()
        taken_on(talk, Op.FEED, (0, 0, 0, 0, which), b"")
        # Raw bytes would have to be unpacked.
        best = self._best()
        encoding = Encoding.BASE64 if best is Encoding.RAW and talk.far.base64 else best
        encoding = last_resort(talk) if encoding is Encoding.RAW else encoding
        answer = Feed(talk, packed((data,), Packing.NONE), encoding, progress).run(deadline)
        if answer is None:
            raise ChannelTimeout(b"")
        if answer.kind == MessageKind.RESULT and answer.numbers[0] != 0:
            raise ChannelLost("the node could not keep what was sent: its memory may be full")

    def _best(self) -> Encoding:
        if self._encoding is None:
            self._encoding = find_encoding(self._talk, self._allowed)
        return self._encoding
