"""Lines that are byte streams over TCP or a Unix socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.transport.serial.errors import ConsoleFailed, console_failed
from bootstrap.transport.serial.line.descriptor import DescriptorLine, Plain

UNANSWERED = 120_000
"""Milliseconds after which data that no one acknowledges ends the connection (TCP_USER_TIMEOUT, tcp(7))."""
KEEPALIVE = 15
"""Seconds between signs of life, so that a console server that lost its power is noticed on a silent line."""


def open_tcp(target: ConsoleTarget, timeout: float) -> DescriptorLine:
    """A TCP connection to the console server; `timeout` in seconds. Raises ConsoleFailed."""
    carrier = target.carrier
    try:
        connection = socket.create_connection((carrier.host, carrier.port), timeout)
    except OSError as error:
        raise _unreachable(target, timeout, error) from None
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_USER_TIMEOUT", UNANSWERED),
        ("TCP_KEEPIDLE", KEEPALIVE),
        ("TCP_KEEPINTVL", KEEPALIVE),
        ("TCP_KEEPCNT", 4),
    ):
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return _over(target, connection, "the console server closed the connection")


def open_unix(target: ConsoleTarget, timeout: float) -> DescriptorLine:
    """A connection to a Unix socket, as QEMU's chardevs have; `timeout` in seconds. Raises ConsoleFailed."""
    path = Path(target.carrier.place)
    try:
        connection = connect_unix(path, timeout)
    except OSError as error:
        raise _no_socket(target, path, timeout, error) from None
    return _over(target, connection, "the other side closed it: was the machine switched off?")


def connect_unix(path: Path, timeout: float | None) -> socket.socket:
    """A stream connected to the Unix socket at `path`, however long that is. `timeout` in seconds. Raises OSError."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        # A socket's address has room for 107 bytes, and a lab's folder may lie deep.
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def _over(target: ConsoleTarget, connection: socket.socket, gone: str) -> DescriptorLine:
    descriptor = connection.fileno()
    return DescriptorLine(target.node, target.described, (descriptor, descriptor), Plain(connection.close, gone))


def _unreachable(target: ConsoleTarget, timeout: float, error: OSError) -> ConsoleFailed:
    carrier = target.carrier
    said = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        problem, hint = f"the name {carrier.host} is not known", "correct console.url, or write the address"
    elif isinstance(error, TimeoutError):
        problem = f"{carrier.host} did not answer on port {carrier.port} within {timeout:.0f} s"
        said, hint = "no answer", "is the console server on, is this its address, and does no firewall stand between?"
    elif isinstance(error, ConnectionRefusedError):
        problem = f"{carrier.host} is there, but nothing listens on port {carrier.port}"
        said, hint = "connection refused", "correct the port (console.url); a port that is in use may refuse as well"
    else:
        problem, hint = f"{carrier.host} can't be reached", "check this machine's network, routes and VPN"
    return console_failed(target, problem, got=said, hint=hint)


def _no_socket(target: ConsoleTarget, path: Path, timeout: float, error: OSError) -> ConsoleFailed:
    said = error.strerror or str(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        problem, hint = f"there is no socket {path}", "is the machine switched on? Correct console.url otherwise"
    elif isinstance(error, ConnectionRefusedError):
        problem, hint = f"no one listens at {path}", "the machine is switched off: switch it on, then try again"
    elif isinstance(error, PermissionError):
        problem, hint = f"you may not open {path}", f"run it as the owner of {path}, or let your group write to it"
    elif isinstance(error, TimeoutError | BlockingIOError):
        problem = f"{path} took no connection within {timeout:.0f} s"
        hint = "another program may be connected to it: end that one"
    else:
        problem, hint = f"{path} can't be used as a console", "correct console.url"
    return console_failed(target, problem, got=said, hint=hint)
