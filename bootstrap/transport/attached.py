"""A program on a node that has this process's terminal, or its pipes, as its own (RFC 4254, sections 6.2 to 6.10)."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootstrap.transport.outcome import ChannelLost

if TYPE_CHECKING:
    import paramiko

PIECE = 65536
USUAL = (80, 24)
# Seconds after which it is looked whether the terminal has another size.
GLANCE = 0.5
# What a shell says of a command that was ended by a signal of which nothing more is known, and ssh(1) of itself.
NO_STATUS = 255


@dataclass(frozen=True)
class Streams:
    """`typed` is the file descriptor of what is typed, None where nothing is; `says` gets what is said, and `complains`
    what is said beside that. `terminal` is the kind of terminal that both are (TERM); empty where they are none, and
    the program gets none then."""

    typed: int | None
    says: Callable[[bytes], object]
    complains: Callable[[bytes], object]
    terminal: str = ""


def attach(channel: paramiko.Channel, line: str | None, first_input: bytes, streams: Streams) -> int:
    """Run a command line, or where none is said the login shell, until it ends; its exit status. `first_input` comes
    before all that is typed: a password, so that there is no terminal then, which would show it. The channel is closed
    at the end. Raises ChannelLost where the connection ends first, and what writing to the streams raises."""
    terminal = "" if first_input else streams.terminal
    try:
        with _lost():
            if terminal:
                channel.get_pty(terminal, *_size())
            if line is None:
                channel.invoke_shell()
            else:
                channel.exec_command(line)
        # What is typed goes its own way: the far side may wait until what it says is read.
        threading.Thread(target=_feed, args=(channel, first_input, streams.typed), daemon=True).start()
        size = _size()
        while _said(channel, streams):
            if terminal and _size() != size:
                size = _size()
                with _lost():
                    channel.resize_pty(*size)
        return _status(channel)
    finally:
        channel.close()


def _said(channel: paramiko.Channel, streams: Streams) -> bool:
    """Wait for a moment, and pass on what the far side has said; False when it has said all."""
    select.select([channel], [], [], GLANCE)
    while channel.recv_stderr_ready():
        streams.complains(channel.recv_stderr(PIECE))
    while channel.recv_ready():
        streams.says(channel.recv(PIECE))
    return not (channel.eof_received or channel.closed) or channel.recv_ready() or channel.recv_stderr_ready()


def _feed(channel: paramiko.Channel, first_input: bytes, typed: int | None) -> None:
    """Pass on what is typed, until its end, or until nobody reads it any more: the exit status says why."""
    with suppress(ChannelLost), _lost():
        if first_input:
            channel.sendall(first_input)
        while typed is not None and (data := _read(typed)):
            channel.sendall(data)
        channel.shutdown_write()


def _read(file: int) -> bytes:
    try:
        return os.read(file, PIECE)
    except OSError:
        return b""


def _status(channel: paramiko.Channel) -> int:
    """How the far side ended. Raises ChannelLost where it did not."""
    status = channel.recv_exit_status()
    if status < 0 and not channel.eof_received:
        raise ChannelLost("the connection broke")
    return status if status >= 0 else NO_STATUS


def _size() -> tuple[int, int]:
    """Columns and rows of the terminal that standard output is; what COLUMNS says is of the past."""
    try:
        return tuple(os.get_terminal_size(1))  # type: ignore[return-value]
    except OSError:
        return USUAL


@contextmanager
def _lost() -> Iterator[None]:
    """What the channel raises in words. Raises ChannelLost."""
    import paramiko

    try:
        yield
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise ChannelLost(str(error) or "the connection broke") from None
