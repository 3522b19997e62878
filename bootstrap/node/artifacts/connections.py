"""Connections of whoever comes, in one thread and of bounded number: no peer keeps the others out by saying nothing.

From the first packet to the end of its request's head a peer has one deadline, the TLS handshake included. Where all
places are taken, the one goes that has been without a request for the longest; one that is served is never the one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

# What one peer may make us remember before it has said what it wants.
HEAD_BYTES = 16 << 10
WANTED = b"\r\n\r\n"
# A listener that can't accept, without a descriptor left for instance, tries again after a moment.
AGAIN_SECONDS = 0.5
BACKLOG = 256


@dataclass(frozen=True)
class Limits:
    """How many connections there may be `at_once`, and of one address; seconds for the handshake with the head of the
    request, `request`, and for each block of an answer, `block`, which is `block_bytes` long: what a client takes more
    slowly, it does not get. `transfers` are served at a time, and so many to one address."""

    at_once: int = 128
    of_one_address: int = 48
    request: float = 30.0
    block: float = 60.0
    block_bytes: int = 256 << 10
    transfers: int = 32
    transfers_to_one_address: int = 8


@dataclass(eq=False)
class Peer:
    """Somebody who is connected from `address`: `trusted`, and not let go for others, once a good token was shown;
    `served` once it is sent what it asked for."""

    address: str
    socket: socket.socket
    trusted: bool = False
    served: bool = False
    task: asyncio.Task[None] | None = None


@dataclass
class Stream:
    """What a peer is read from and answered with."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> bytes:
        """The head of its request, which ends with an empty line. Raises EOFError where there is none, and
        LimitOverrunError where it is too long."""
        return await self.reader.readuntil(WANTED)

    async def send(self, block: bytes, seconds: float) -> None:
        """Send a block. Raises OSError where the peer is gone, TimeoutError where it does not take it in time."""
        async with asyncio.timeout(seconds):
            self.writer.write(block)
            await self.writer.drain()

    async def finish(self, seconds: float) -> None:
        """Send what is left, and close in order. Raises as `send` does."""
        async with asyncio.timeout(seconds):
            self.writer.close()
            await self.writer.wait_closed()


Answers = Callable[[Peer, Stream, bytes], Awaitable[None]]


@dataclass
class Connections:
    """Accepts on a listening socket and has `answers` answer each request's head; one request a connection."""

    context: ssl.SSLContext
    limits: Limits
    answers: Answers
    dropped: Callable[[], object]
    _peers: list[Peer] = field(default_factory=list)

    async def serve(self, listener: socket.socket) -> None:
        """Accept until this is cancelled, and then let everybody go."""
        loop = asyncio.get_running_loop()
        listener.listen(BACKLOG)
        listener.setblocking(False)
        try:
            while True:
                try:
                    sock, place = await loop.sock_accept(listener)
                except OSError:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                self._welcome(sock, str(place[0]))
                # One that is attended to closes its socket itself, however it ends: it has to have begun.
                await asyncio.sleep(0)
        finally:
            for peer in self._peers:
                _end(peer)

    def transfers(self, address: str | None = None) -> int:
        """How many are being served, in all or of one address."""
        return sum(peer.served for peer in self._peers if address in (None, peer.address))

    def _welcome(self, sock: socket.socket, address: str) -> None:
        if self._room_for(address):
            peer = Peer(address, sock)
            self._peers.append(peer)
            peer.task = asyncio.get_running_loop().create_task(self._attend(peer))
        else:
            sock.close()
            self.dropped()

    def _room_for(self, address: str) -> bool:
        """Make room for one more of that address. False where all are trusted."""
        of_address = [peer for peer in self._peers if peer.address == address]
        if len(of_address) >= self.limits.of_one_address:
            return self._let_go_of_oldest(of_address)
        return len(self._peers) < self.limits.at_once or self._let_go_of_oldest(self._peers)

    def _let_go_of_oldest(self, crowd: list[Peer]) -> bool:
        """Whether there was one that is not trusted. They stand in the order in which they came."""
        stranger = next((peer for peer in crowd if not peer.trusted), None)
        if stranger is None:
            return False
        self._peers.remove(stranger)
        _end(stranger)
        return True

    async def _attend(self, peer: Peer) -> None:
        stream = None
        try:
            async with asyncio.timeout(self.limits.request):
                stream = await self._greeted(peer.socket)
                head = await _head_of(stream)
            await self.answers(peer, stream, head)
            # The last of what was sent may still be on its way to a slow one.
            await stream.finish(2 * self.limits.block)
        except (OSError, EOFError, asyncio.CancelledError):
            # Gone, too slow, no TLS, or in the way of others.
            self.dropped()
        finally:
            if stream is not None:
                stream.writer.transport.abort()
            if peer in self._peers:
                self._peers.remove(peer)

    async def _greeted(self, sock: socket.socket) -> Stream:
        """The peer behind a socket, after its TLS handshake. Raises OSError."""
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        reader = asyncio.StreamReader(limit=HEAD_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            sock,
            ssl=self.context,
            ssl_handshake_timeout=self.limits.request,
            ssl_shutdown_timeout=2 * self.limits.block,
        )
        return Stream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


async def _head_of(stream: Stream) -> bytes:
    """The head of a request; empty where it is too long to be one."""
    try:
        return await stream.head()
    except asyncio.LimitOverrunError:
        return b""


def _end(peer: Peer) -> None:
    if peer.task is not None:
        peer.task.cancel()
    # What is cancelled before its handshake has begun would keep it open until the handshake's deadline.
    with suppress(OSError):
        peer.socket.shutdown(socket.SHUT_RDWR)
