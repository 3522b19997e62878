"""Typing at a console and reading what comes back, before there is anything exact on it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.transport.serial.line.base import Line, ThroughLine
from bootstrap.transport.serial.line.log import hidden
from bootstrap.transport.serial.text import last_words, plain_text

KEPT = 65536
LOOK = 0.1
QUIET = 0.5
"""Seconds without a byte after which whoever writes is taken to have finished."""
PATIENCE = (5.0, 10.0, 20.0)
"""Seconds a proof is waited for, each time that it is asked for: emulated machines take their time."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Something that no one can guess. `typed` is how it stands in a command, `shown` what any shell makes of that: the
    echo of the command is never taken for its output."""

    typed: str
    shown: str

    @classmethod
    def new(cls) -> Marker:
        first, second = secrets.token_hex(6), secrets.token_hex(6)
        return cls(f"{first}''{second}", first + second)


class Talk:
    """One side of a conversation on `line`. What came since `mark` is `text`; all of it, up to a bound, is `seen`."""

    def __init__(self, line: Line, target: ConsoleTarget) -> None:
        self.line = line
        self.target = target
        self.heard_at = time.monotonic()
        self.seen = b""
        self.count = 0
        self._since = b""
        self._secrets: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """What came since the last mark, without control sequences."""
        return plain_text(self._since.decode("utf-8", "replace"))

    @property
    def last_words(self) -> str:
        """The end of everything that was said, readable, for messages; secrets are left out."""
        return last_words(hidden(self.seen, self._secrets))

    @property
    def silent_for(self) -> float:
        """Seconds since the last byte, or since the conversation began."""
        return time.monotonic() - self.heard_at

    def mark(self) -> None:
        self._since = b""

    def hear(self, seconds: float) -> bytes:
        """Whatever comes first within `seconds`. Raises LineLost."""
        data = self.line.read(seconds)
        if data:
            self.heard_at = time.monotonic()
            self.count += len(data)
            self.seen = (self.seen + data)[-KEPT:]
            self._since = (self._since + data)[-KEPT:]
        return data

    def send(self, keys: bytes) -> None:
        """Press keys. Raises LineLost."""
        self.line.write(keys)

    def enter(self, text: str) -> None:
        """Type a line. Raises LineLost."""
        self.line.write(text.encode() + self.target.line_ending.sent)

    def enter_secret(self, secret: str) -> None:
        """Type a secret; should the other side echo it, it is in no log and no message. Raises LineLost."""
        value = secret.encode()
        self._secrets = (*self._secrets, value)
        if isinstance(self.line, ThroughLine):
            self.line.hide(value)
        self.line.write(value + self.target.line_ending.sent)

    def settle(self, quiet: float = QUIET, at_most: float = 5.0) -> str:
        """Wait until nothing came for `quiet` seconds, at most `at_most`; the text since the last mark."""
        end = time.monotonic() + at_most
        while (left := end - time.monotonic()) > 0 and self.hear(min(quiet, left)):
            pass
        return self.text

    def wait_for(self, what: Callable[[str], bool], seconds: float) -> bool:
        """Whether the text since the last mark comes to be `what` within `seconds`."""
        end = time.monotonic() + seconds
        while not what(self.text):
            if (left := end - time.monotonic()) <= 0:
                return False
            self.hear(min(left, LOOK))
        return True

    def prove(self, words: str = "", patience: tuple[float, ...] = PATIENCE) -> str | None:
        """What a shell makes of `words` (as for echo), or None where no shell answers.

        Asked again with another marker each time, because the kernel may write into the middle of an answer.
        """
        for seconds in patience:
            marker = Marker.new()
            self.mark()
            self.enter(f" echo {marker.typed} {words} {marker.typed}")
            answer = re.compile(rf"{marker.shown} ([^\n]*?) ?{marker.shown}")
            if self.wait_for(lambda text, answer=answer: answer.search(text) is not None, seconds):  # type: ignore[misc]
                found = answer.search(self.text)
                return found[1].strip() if found else None
        return None
