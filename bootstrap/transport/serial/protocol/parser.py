"""Picking the far side's answers out of whatever else comes over the line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from bootstrap.transport.serial.protocol.messages import LONGEST_ANSWER, Answer, MessageKind, parsed_answer

# What a kernel writes to its console, into the middle of anything: "[  123.456789] usb 1-1: new device".
KERNEL_LINE = re.compile(rb"\[ *\d+\.\d+\][^\n]*\n")
NOT_TEXT = re.compile(rb"[^A-Za-z0-9+/=]+")
REMEMBERED = 2048
"""Bytes of the line that are kept for messages."""


class Listener:
    """Takes what was read, gives back answers. `text_length`: how many characters (line ends aside) follow an answer.

    `seen` are the last bytes that came, whatever they were.
    """

    def __init__(self, mark: str, text_length: Callable[[Answer], int]) -> None:
        self.seen = b""
        self._mark = mark.encode()
        self._text_length = text_length
        self._buffer = b""
        self._waiting: Answer | None = None

    def hear(self, data: bytes) -> None:
        """Take what came over the line."""
        self.seen = (self.seen + data)[-REMEMBERED:]
        self._buffer += data
        if b"\n" in data:
            # Answers hold no "[", so nothing of theirs is lost with such a line unless its own end was damaged.
            self._buffer = KERNEL_LINE.sub(b"", self._buffer)

    def answer(self) -> Answer | None:
        """The next answer that is there in whole; its data is whatever text came, damaged or not."""
        while True:
            if self._waiting is not None:
                return self._with_text(self._waiting)
            found = self._next_line()
            if found is None or found.kind in (MessageKind.STATE, MessageKind.HELLO, MessageKind.BYE):
                return found
            if found.kind == MessageKind.END:
                continue
            if not self._text_length(found):
                return found
            self._waiting = found

    @property
    def collecting(self) -> bool:
        """Whether an answer's first line is there and its text on the way."""
        return self._waiting is not None

    def cut_short(self) -> Answer | None:
        """The answer that is being collected, as damaged as it is."""
        answer, self._waiting = self._waiting, None
        return answer

    def forget(self) -> None:
        """Drop what is there: the line was silent, so that nothing more belongs to it."""
        self._buffer = b""
        self._waiting = None

    def _next_line(self) -> Answer | None:
        while (start := self._buffer.find(self._mark)) >= 0:
            behind = start + len(self._mark)
            end = self._buffer.find(b"\n", behind)
            if end < 0:
                if len(self._buffer) - start < LONGEST_ANSWER:
                    return None
                end = behind
            answer = parsed_answer(self._buffer[behind:end])
            # A damaged line may have lost its end: the next one is looked for right behind the mark.
            self._buffer = self._buffer[end if answer else behind :]
            if answer:
                return answer
        self._buffer = self._buffer[-LONGEST_ANSWER:]
        return None

    def _with_text(self, answer: Answer) -> Answer | None:
        wanted = self._text_length(answer)
        end = self._end_of(answer)
        if end is None and len(self._buffer) < wanted:
            return None
        text = NOT_TEXT.sub(b"", self._buffer[:end])
        if end is None and len(text) < wanted:
            return None
        self._waiting = None
        self._buffer = b"" if end is None else self._buffer[end:]
        return replace(answer, data=text)

    def _end_of(self, answer: Answer) -> int | None:
        """Where the text behind an answer ends, by the line that says so."""
        at = self._buffer.find(self._mark)
        while at >= 0:
            line_end = self._buffer.find(b"\n", at)
            if line_end < 0:
                return None
            line = parsed_answer(self._buffer[at + len(self._mark) : line_end])
            if line and line.kind == MessageKind.END and line.request == answer.request:
                return at
            at = self._buffer.find(self._mark, at + 1)
        return None
