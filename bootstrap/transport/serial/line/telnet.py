"""Telnet, as console servers speak it (RFC 854, RFC 855, RFC 856): the bytes of a line between commands and options."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bootstrap.transport.serial.line.base import Line, ThroughLine

IAC, DONT, DO, WONT, WILL, SB, BREAK, SE = 255, 254, 253, 252, 251, 250, 243, 240
BINARY, ECHO, SUPPRESS_GO_AHEAD, COM_PORT = 0, 1, 3, 44
# What the other side may do, and what we do when it asks. Everything else is refused.
THEIRS = frozenset({BINARY, ECHO, SUPPRESS_GO_AHEAD})
OURS = frozenset({BINARY, SUPPRESS_GO_AHEAD})
PIECE = 1024
LONGEST_SUBNEGOTIATION = 4096


class Telnet:
    """One side of a Telnet connection, without the connection: bytes in, bytes and replies out.

    `replies` holds what has to be sent; `subnegotiated` is called with an option and what stands between SB and SE.
    `more`: options that either side may have beside those of a plain line.
    """

    def __init__(
        self, subnegotiated: Callable[[int, bytes], object] = lambda *_: None, more: frozenset[int] = frozenset()
    ) -> None:
        self._more = more
        self.replies = bytearray()
        self.theirs: dict[int, bool] = {}
        """Options of the other side that it has answered for, on or off."""
        self.ours: dict[int, bool] = {}
        """Our own options that it has answered for, on or off."""
        self._asked: set[tuple[int, int]] = set()
        self._subnegotiated = subnegotiated
        self._read: Callable[[int, bytearray], None] = self._data
        self._command = 0
        self._sub = bytearray()
        self._after_return = False

    def ask(self, verb: int, option: int) -> None:
        """Ask the other side to DO an option, or say that we WILL; its answer is not answered again."""
        self._asked.add((verb, option))
        self.replies += bytes((IAC, verb, option))

    def received(self, data: bytes) -> bytes:
        """The bytes of the line in what came from the connection; a command may be cut anywhere."""
        out = bytearray()
        for byte in data:
            self._read(byte, out)
        return bytes(out)

    def sent(self, data: bytes) -> bytes:
        """What to send for bytes of the line. Outside of binary mode, a carriage return alone is followed by NUL (RFC
        854, page 11)."""
        escaped = data.replace(b"\xff", b"\xff\xff")
        if self.ours.get(BINARY):
            return escaped
        return escaped.replace(b"\r\n", b"\n").replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")

    def _data(self, byte: int, out: bytearray) -> None:
        after_return, self._after_return = self._after_return, False
        if byte == IAC:
            self._read = self._after_iac
        elif not (byte == 0 and after_return):
            out.append(byte)
            self._after_return = byte == 13 and not self.theirs.get(BINARY, False)

    def _after_iac(self, byte: int, out: bytearray) -> None:
        self._read = self._data
        if byte == IAC:
            out.append(IAC)
        elif byte in (DO, DONT, WILL, WONT):
            self._command = byte
            self._read = self._option
        elif byte == SB:
            self._sub.clear()
            self._read = self._inside

    def _option(self, option: int, _: bytearray) -> None:
        self._read = self._data
        on = self._command in (WILL, DO)
        if self._command in (WILL, WONT):
            table, allowed, yes, no = self.theirs, THEIRS, DO, DONT
        else:
            table, allowed, yes, no = self.ours, OURS, WILL, WONT
        accepted = on and option in allowed | self._more
        known = table.get(option)
        table[option] = accepted
        # An answer to what we asked, or a repetition, is not answered: each side would answer the other for ever.
        if (yes, option) in self._asked:
            self._asked.discard((yes, option))
        elif known is not accepted:
            self.replies += bytes((IAC, yes if accepted else no, option))

    def _inside(self, byte: int, _: bytearray) -> None:
        if byte == IAC:
            self._read = self._inside_after_iac
        elif len(self._sub) < LONGEST_SUBNEGOTIATION:
            self._sub.append(byte)

    def _inside_after_iac(self, byte: int, _: bytearray) -> None:
        if byte == SE:
            self._read = self._data
            if self._sub:
                self._subnegotiated(self._sub[0], bytes(self._sub[1:]))
        else:
            self._sub.append(byte)
            self._read = self._inside


class TelnetLine:
    """A Line over a Telnet connection that is a Line itself."""

    def __init__(self, connection: Line, telnet: Telnet) -> None:
        self._connection = connection
        self._telnet = telnet
        self._writing = threading.Lock()

    @property
    def described(self) -> str:
        return self._connection.described

    def read(self, seconds: float) -> bytes:
        end = time.monotonic() + seconds
        while True:
            data = self._connection.read(max(0.0, end - time.monotonic()))
            text = self._telnet.received(data)
            # Whoever writes now sends the replies too: waiting for it here could wait for ever, because the other side
            # may take nothing before we read.
            if self._telnet.replies and self._writing.acquire(blocking=False):
                try:
                    self._reply()
                finally:
                    self._writing.release()
            if text or not data:
                return text

    def write(self, data: bytes) -> None:
        with self._writing:
            for start in range(0, len(data), PIECE):
                self._reply()
                self._connection.write(self._telnet.sent(data[start : start + PIECE]))
            self._reply()

    def send_break(self) -> None:
        with self._writing:
            self._connection.write(bytes((IAC, BREAK)))

    def send_subnegotiation(self, option: int, value: bytes) -> None:
        """Say something about an option. Raises LineLost."""
        with self._writing:
            escaped = value.replace(b"\xff", b"\xff\xff")
            self._connection.write(bytes((IAC, SB, option)) + escaped + bytes((IAC, SE)))

    def close(self) -> None:
        self._connection.close()

    def _reply(self) -> None:
        while self._telnet.replies:
            pending = bytes(self._telnet.replies)
            del self._telnet.replies[: len(pending)]
            self._connection.write(pending)


class ReadAhead(ThroughLine):
    """A Line of which something was read already, which comes first."""

    def __init__(self, line: TelnetLine, ahead: bytes) -> None:
        super().__init__(line)
        self._ahead = ahead

    def read(self, seconds: float) -> bytes:
        ahead, self._ahead = self._ahead, b""
        return ahead or super().read(seconds)


def agree(connection: Line, telnet: Telnet, done: Callable[[], bool], seconds: float) -> tuple[TelnetLine, bytes]:
    """Negotiate over a fresh connection until `done`, or for `seconds`; what the line said meanwhile is returned.

    Asks for eight bits both ways and no going ahead. A server that answers nothing may not be a Telnet server at all,
    and carries text all the same. Raises LineLost.
    """
    line = TelnetLine(connection, telnet)
    for verb in (DO, WILL):
        telnet.ask(verb, SUPPRESS_GO_AHEAD)
        telnet.ask(verb, BINARY)
    line.write(b"")
    return line, read_until(line, done, seconds)


def read_until(line: Line, done: Callable[[], bool], seconds: float) -> bytes:
    """Read until `done`, or for `seconds`; what was read. Raises LineLost."""
    ahead = b""
    end = time.monotonic() + seconds
    while not done() and (left := end - time.monotonic()) > 0:
        ahead += line.read(min(left, 0.1))
    return ahead


def open_telnet(connection: Line, seconds: float = 2.0) -> Line:
    """The line behind a console server that speaks Telnet; `seconds` bounds how long its options are waited for."""
    telnet = Telnet()
    line, ahead = agree(connection, telnet, lambda: BINARY in telnet.theirs and BINARY in telnet.ours, seconds)
    return ReadAhead(line, ahead)
