"""A loopback port on the operator's machine that leads to a port as seen from the node (ssh -L)."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import paramiko

OPENING = 15.0
"""Seconds the node may take to open a connection."""
PIECE = 65536


@contextmanager
def forward(transport: paramiko.Transport, host: str, port: int) -> Iterator[tuple[str, int]]:
    """Listen on 127.0.0.1 and a free port, and lead each connection to host:port from the node.

    A connection that the node can't make is reset. At the end of the context all connections are closed.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    forwarder = _Forwarder(transport, listener, (host, port))
    forwarder.start()
    try:
        yield listener.getsockname()[:2]
    finally:
        forwarder.stop()


class _Forwarder:
    def __init__(self, transport: paramiko.Transport, listener: socket.socket, target: tuple[str, int]) -> None:
        self._transport = transport
        self._listener = listener
        self._target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket | paramiko.Channel] = set()
        self._stopped = False
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def start(self) -> None:
        self._acceptor.start()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            ends = tuple(self._open)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which closing alone does not
        self._listener.close()
        self._acceptor.join()
        for end in ends:
            _hang_up(end)

    def _accept(self) -> None:
        while True:
            try:
                client, origin = self._listener.accept()
            except OSError:
                return
            # Answers come in pieces: without it each second one waits 40 ms for the client's acknowledgement.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client, origin), daemon=True).start()

    def _serve(self, client: socket.socket, origin: tuple[str, int]) -> None:
        import paramiko

        try:
            channel = self._transport.open_channel("direct-tcpip", self._target, origin, timeout=OPENING)
        except (paramiko.SSHException, EOFError, OSError):
            # A reset, not a clean end: the client has to see that no one answered.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        if not self._keep(client, channel):
            return
        back = threading.Thread(target=_pump, args=(channel, client), daemon=True)
        back.start()
        _pump(client, channel)
        back.join()
        self._let_go(client, channel)

    def _keep(self, client: socket.socket, channel: paramiko.Channel) -> bool:
        with self._lock:
            if not self._stopped:
                self._open |= {client, channel}
                return True
        self._let_go(client, channel)
        return False

    def _let_go(self, client: socket.socket, channel: paramiko.Channel) -> None:
        with self._lock:
            self._open -= {client, channel}
        client.close()
        # To say goodbye over a connection that is gone at the same moment fails; the channel is closed all the same.
        with suppress(OSError, EOFError):
            channel.close()


def _pump(source: socket.socket | paramiko.Channel, sink: socket.socket | paramiko.Channel) -> None:
    """Copy until the source ends, then tell the sink that no more comes; the other direction goes on."""
    try:
        while data := source.recv(PIECE):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except (OSError, EOFError):
        _hang_up(source)
        _hang_up(sink)


def _hang_up(end: socket.socket | paramiko.Channel) -> None:
    with suppress(OSError, EOFError):
        end.shutdown(socket.SHUT_RDWR)
