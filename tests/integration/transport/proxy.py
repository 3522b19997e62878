"""A TCP proxy on loopback that counts what passes and can be told to cut or to stall every connection."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress


class CuttingProxy:
    """Passes connections on to `target`; cuts them on `cut()`, or once `limit` bytes went towards the target.

    The first `turned_away` connections are taken and closed, as by a load balancer that has no server.
    """

    def __init__(self, target: int, limit: int | None = None, *, turned_away: int = 0) -> None:
        self.sent = 0
        self.turned_away = turned_away
        self._target = target
        self._limit = limit
        self._flowing = threading.Event()
        self._flowing.set()
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> CuttingProxy:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        self.cut()

    def stall(self) -> None:
        """Pass nothing on any more, in either direction, and leave the connections open."""
        self._flowing.clear()

    def cut(self) -> None:
        """Reset every connection."""
        self._flowing.set()
        for end in self._ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.turned_away:
                self.turned_away -= 1
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._ends += [near, far]
            threading.Thread(target=self._towards, args=(near, far), daemon=True).start()
            threading.Thread(target=self._back, args=(far, near), daemon=True).start()

    def _towards(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(65536):
                self.sent += len(data)
                if self._limit is not None and self.sent > self._limit:
                    self.cut()
                    return
                self._flowing.wait()
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(65536):
                self._flowing.wait()
                near.sendall(data)
            near.shutdown(socket.SHUT_WR)
