"""A question over TLS and the whole of its answer, in bounded time and of bounded size.

A socket's own time-out begins again with every byte: a peer that sends one now and then holds whoever listens to it
for as long as it likes. Here all that is done within one block has one end, from the handshake to the last byte.
"""

from __future__ import annotations

import http.client
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

# A peer that says nothing at all for so long is given up.
SILENCE_SECONDS = 15.0
# From connecting to the last byte. A small machine takes seconds for each step of a handshake, not for each byte.
WHOLE_SECONDS = 60.0
# The longest answers are lists of all nodes or requests of a large cluster.
LARGEST = 128 << 20
PIECE = 64 << 10


class TooSlow(TimeoutError):
    """The other end said nothing for too long, or its answer was not whole in time."""


class TooLarge(http.client.HTTPException, ValueError):
    """The other end sends more than was asked for."""


@dataclass(frozen=True)
class _End:
    seconds: float
    at: float

    def missed(self) -> TooSlow:
        return TooSlow(f"not done within {self.seconds:.0f} s")


_end: ContextVar[_End | None] = ContextVar("_end", default=None)


@dataclass(frozen=True)
class Answer:
    """An HTTP status, the headers, the whole body, and the certificate (DER) that the other end showed."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes = field(repr=False)
    certificate: bytes | None = field(default=None, repr=False)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """All that this thread does in the block over connections of `connection_to`, or of a `bounded` context, has to be
    done after so many seconds; raises TooSlow."""
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
    """All of them. Raises TooLarge as soon as they are more than `largest` bytes."""
    found, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > largest:
            raise TooLarge(f"more than {largest} bytes came")
        found.append(piece)
    return b"".join(found)


def connection_to(
    host: str, port: int | None, context: ssl.SSLContext, silence: float = SILENCE_SECONDS
) -> http.client.HTTPSConnection:
    """A connection, not open yet, that `within` bounds; the other end may say nothing for `silence` seconds."""
    return http.client.HTTPSConnection(host, port, timeout=silence, context=bounded(context))


def answer_to(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    seconds: float = WHOLE_SECONDS,
    largest: int = LARGEST,
) -> Answer:
    """What the other end answers, `largest` bytes at most, after at most `seconds`. Raises TooSlow (an OSError),
    TooLarge (an HTTPException), and what http.client raises."""
    with within(seconds):
        connection.request(method, path, body=body, headers=dict(headers or {}))
        shown = connection.sock.getpeercert(binary_form=True)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, _whole(answer, largest), shown)


def asked(
    host: str,
    port: int | None,
    context: ssl.SSLContext,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    seconds: float = WHOLE_SECONDS,
    largest: int = LARGEST,
) -> Answer:
    """What a GET over a connection of its own answers; raises as `answer_to` does."""
    connection = connection_to(host, port, context, min(seconds, SILENCE_SECONDS))
    try:
        return answer_to(connection, "GET", path, None, headers, seconds=seconds, largest=largest)
    finally:
        connection.close()


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


def _whole(answer: http.client.HTTPResponse, largest: int) -> bytes:
    if (answer.length or 0) > largest:
        raise TooLarge(f"{answer.length} bytes are announced, and {largest} are the most")
    content = read_whole(iter(lambda: answer.read(PIECE), b""), largest)
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
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
