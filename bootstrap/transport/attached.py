"""A program on a node that has this process's terminal, or its pipes, as its own (RFC 4254, sections 6.2 to 6.10)."""

from __future__ import annotations

import os
import select
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootstrap.transport.outcome import ChannelLost

if TYPE_CHECKING:
    import paramiko

PIECE = 65536
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
    before all that is typed. The channel is closed then. Raises ChannelLost where the connection ends first."""
    import paramiko

    try:
        if streams.terminal:
            columns, rows = shutil.get_terminal_size()
            channel.get_pty(streams.terminal, columns, rows)
        if line is None:
            channel.invoke_shell()
        else:
            channel.exec_command(line)
        if first_input:
            channel.sendall(first_input)
        _converse(channel, streams)
        return _status(channel)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise ChannelLost(str(error) or "the connection broke") from None
    finally:
        channel.close()


def _converse(channel: paramiko.Channel, streams: Streams) -> None:
    """Pass on what comes from either side, until the far side has said all."""
    size, typed = shutil.get_terminal_size(), streams.typed
    if typed is None:
        channel.shutdown_write()
    while True:
        sources: list[paramiko.Channel | int] = [channel] if typed is None else [channel, typed]
        readable, _, _ = select.select(sources, [], [], GLANCE)
        if streams.terminal and (now := shutil.get_terminal_size()) != size:
            size = now
            channel.resize_pty(*now)
        if channel in readable and not _said(channel, streams):
            return
        if typed is not None and typed in readable and not _typed(channel, typed):
            typed = None


def _said(channel: paramiko.Channel, streams: Streams) -> bool:
    """Show what the far side has said; False when it has said all."""
    while channel.recv_stderr_ready():
        streams.complains(channel.recv_stderr(PIECE))
    while channel.recv_ready():
        streams.says(channel.recv(PIECE))
    return not (channel.eof_received or channel.closed) or channel.recv_ready() or channel.recv_stderr_ready()


def _typed(channel: paramiko.Channel, stdin: int) -> bool:
    """Pass on what was typed; False at its end, and when nobody reads it any more."""
    try:
        data = os.read(stdin, PIECE)
    except OSError:
        data = b""
    if data:
        channel.sendall(data)
    else:
        channel.shutdown_write()
    return bool(data)


def _status(channel: paramiko.Channel) -> int:
    """How the far side ended. Raises ChannelLost where it did not."""
    status = channel.recv_exit_status()
    if status < 0 and not channel.eof_received:
        raise ChannelLost("the connection broke")
    return status if status >= 0 else NO_STATUS
