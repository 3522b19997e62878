"""A TLS server that spreads its answer over as many pieces as it likes, for as long as its client listens."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bootstrap.pki.x509 import KeyPair

Answer = Callable[[bytes], Iterable[bytes]]


@contextmanager
def answering_in_pieces(pair: KeyPair, answer: Answer, folder: Path, *, apart: float = 0.0) -> Iterator[int]:
    """A server on 127.0.0.1 that shows `pair` and sends the pieces that `answer` makes of a request's head, so many
    seconds apart, until they end or the client goes; its port."""
    file = folder / "slow.pem"
    file.write_bytes(pair.cert_pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    over = threading.Event()

    def attend(sock: socket.socket) -> None:
        with suppress(OSError), sock, context.wrap_socket(sock, server_side=True) as peer:
            head = b""
            while b"\r\n\r\n" not in head and (piece := peer.recv(4096)):
                head += piece
            for piece in answer(head):
                peer.sendall(piece)
                if over.wait(apart):
                    return

    with _accepting(attend, over) as port:
        yield port


@contextmanager
def dribbling_a_handshake(apart: float) -> Iterator[int]:
    """A server on 127.0.0.1 whose answer to a ClientHello never gets further than the beginning of one record."""
    over = threading.Event()

    def attend(sock: socket.socket) -> None:
        with suppress(OSError), sock:
            # A handshake's record of 16 KiB. RFC 8446, section 5.1.
            sock.sendall(b"\x16\x03\x03\x40\x00")
            while not over.wait(apart):
                sock.sendall(b"\x02")

    with _accepting(attend, over) as port:
        yield port


@contextmanager
def _accepting(attend: Callable[[socket.socket], None], over: threading.Event) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threading.Thread(target=attend, args=(sock,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
