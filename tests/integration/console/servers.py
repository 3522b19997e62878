"""Console servers on loopback, each in front of a real terminal: plain TCP, Telnet and RFC 2217."""

from __future__ import annotations

import os
import pty
import select
import socket
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import serial
from serial.rfc2217 import PortManager

IAC, DONT, DO, WONT, WILL, SB, SE, NOP = 255, 254, 253, 252, 251, 250, 240, 241
BINARY, ECHO, SUPPRESS_GO_AHEAD, TERMINAL_TYPE, WINDOW_SIZE = 0, 1, 3, 24, 31
Session = Callable[[socket.socket], None]


@contextmanager
def a_terminal() -> Iterator[tuple[int, Path]]:
    """A pair of terminals that change nothing: the machine's end, and the path of the other."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        yield master, Path(os.ttyname(slave))
    finally:
        os.close(master)
        os.close(slave)


@contextmanager
def serving(session: Session) -> Iterator[int]:
    """A server on a loopback port that has one session at a time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                if select.select([server], [], [], 0.05)[0]:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        session(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            stopped.set()
            thread.join(20)
            assert not thread.is_alive()


def echoing(connection: socket.socket) -> None:
    """Gives back what comes."""
    while data := connection.recv(4096):
        connection.sendall(data)


class TelnetServer:
    """An echo behind Telnet, as strict as RFC 854 lets it be: IAC is doubled, a return outside of binary mode is two
    bytes. It offers and asks for more than a console needs, and answers every question."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.breaks = 0
        self.received = b""

    def __call__(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb", buffering=0)
        for verb, option in ((WILL, ECHO), (WILL, SUPPRESS_GO_AHEAD), (DO, TERMINAL_TYPE), (DO, WINDOW_SIZE)):
            connection.sendall(bytes((IAC, verb, option)))
        connection.sendall(bytes((IAC, SB, TERMINAL_TYPE, 1, IAC, IAC, 1, IAC, SE, IAC, NOP)))
        while byte := stream.read(1):
            if byte[0] != IAC:
                self.received += byte
                connection.sendall(byte)
                continue
            command = stream.read(1)
            if command[0] == IAC:
                self.received += b"\xff"
                connection.sendall(b"\xff\xff")
            elif command[0] == 243:
                self.breaks += 1
                connection.sendall(b"break")
            else:
                self._answer(connection, command[0], stream.read(1)[0])

    def _answer(self, connection: socket.socket, verb: int, option: int) -> None:
        self.told.append((verb, option))
        if option == BINARY and verb in (DO, WILL):
            connection.sendall(bytes((IAC, {DO: WILL, WILL: DO}[verb], option)))


class Rfc2217Server:
    """pyserial's own RFC 2217 over a terminal, as in its example of a server."""

    def __init__(self, terminal: Path) -> None:
        self._terminal = terminal
        self.settings: tuple[int, int, str, float, bool, bool] | None = None
        self.breaks: list[bool] = []

    def __call__(self, connection: socket.socket) -> None:
        class Connection:
            def write(self, data: bytes) -> None:
                connection.sendall(data)

        class Port(serial.Serial):
            @property
            def break_condition(self) -> bool:
                return False

            @break_condition.setter
            def break_condition(port, value: bool) -> None:
                self.breaks.append(value)

            def _reconfigure_port(self, force_update: bool = False) -> None:
                # A pseudo-terminal has neither parity nor seven bits.
                with suppress(termios.error):
                    super()._reconfigure_port(force_update)  # type: ignore[misc]

            def _update_dtr_state(self) -> None: ...

            def _update_rts_state(self) -> None: ...

            # Nor has it such wires.
            cts = dsr = ri = cd = True

        with Port(str(self._terminal), timeout=0) as port:
            manager = PortManager(cast(Any, port), cast(Any, Connection()))
            while True:
                ready, _, _ = select.select([connection.fileno(), port.fileno()], [], [])
                if connection.fileno() in ready:
                    if not (data := connection.recv(4096)):
                        return
                    port.write(b"".join(manager.filter(data)))
                    self.settings = (
                        port.baudrate,
                        port.bytesize,
                        port.parity,
                        port.stopbits,
                        port.rtscts,
                        port.xonxoff,
                    )
                if port.fileno() in ready:
                    connection.sendall(b"".join(manager.escape(port.read(4096))))
