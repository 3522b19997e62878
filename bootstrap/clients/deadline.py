"""A whole conversation over TLS within one time, however the other end spreads its bytes.

A socket's own time-out begins again with every byte: a server that sends one now and then holds its client for as long
as it likes. bootstrap/node/exchange.py does the same on a node, which has the standard library alone.
"""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


class TooSlow(TimeoutError):
    """The other end said nothing for too long, or not all of it in time."""


@dataclass(frozen=True, slots=True)
class _End:
    seconds: float
    at: float

    def missed(self) -> TooSlow:
        return TooSlow(f"not done within {self.seconds:.0f} s")


_end: ContextVar[_End | None] = ContextVar("_end", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread does in the block over connections of a `bounded` context has to be done after so many seconds.
    They raise TooSlow."""
    before = _end.set(_End(seconds, time.monotonic() + seconds))
    try:
        yield
    finally:
        _end.reset(before)


def bounded(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, whose connections keep to `within`."""
    context.sslsocket_class = _Socket
    return context


def read_whole(pieces: Iterable[bytes], largest: int) -> bytes:
    """All of them. Raises ValueError as soon as they are more than `largest` bytes."""
    found, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > largest:
            raise ValueError(f"more than {largest} bytes came")
        found.append(piece)
    return b"".join(found)


def unpacked(packed: bytes, largest: int) -> bytes:
    """What gzip made `packed` of, at most `largest` bytes. Raises ValueError where it is more, cut off, or no gzip.

    A thousandth of it can be enough to unpack to it. Source: RFC 1952; zlib's manual, inflateInit2.
    """
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = unpacking.decompress(packed, largest)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError(f"it is cut off, or unpacks to more than {largest} bytes")
    return content


class _Socket(ssl.SSLSocket):
    """Waits no longer than to the end of the block that it is used in.

    Source: https://docs.python.org/3/library/ssl.html#ssl.SSLContext.sslsocket_class
    """

    def do_handshake(self, block: bool = False) -> None:
        with self._in_time():
            super().do_handshake(block)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        with self._in_time():
            return super().read(len, buffer)

    def send(self, data: Any, flags: int = 0) -> int:
        with self._in_time():
            return super().send(data, flags)

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        silence, end = self.gettimeout(), _end.get()
        if end is None or silence is None:
            yield
            return
        left = end.at - time.monotonic()
        if left <= 0:
            raise end.missed()
        self.settimeout(min(left, silence))
        try:
            yield
        except TimeoutError:
            raise end.missed() if left <= silence else TooSlow(f"no answer within {silence:.0f} s") from None
        finally:
            self.settimeout(silence)
