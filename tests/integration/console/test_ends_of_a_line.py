"""A line that takes nothing is given up, and closing one wakes whoever reads it."""

from __future__ import annotations

import socket
import threading

import pytest

from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.line.descriptor import DescriptorLine, Plain


def test_a_line_that_takes_nothing_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ours:
        line = DescriptorLine("node1", "a line", (ours.fileno(), ours.fileno()), Plain(lambda: None), stalled=0.2)
        with pytest.raises(LineLost, match="it took not one byte"):
            line.write(bytes(10_000_000))
        line.close()


def test_closing_a_line_wakes_whoever_reads_it() -> None:
    ours, theirs = socket.socketpair()
    line = DescriptorLine("node1", "a line", (ours.fileno(), ours.fileno()), Plain(ours.close))
    said: list[str] = []

    def reads() -> None:
        try:
            line.read(600.0)
        except LineLost as error:
            said.append(str(error.got))

    thread = threading.Thread(target=reads)
    thread.start()
    line.close()
    line.close()
    thread.join(20)
    theirs.close()
    assert said == ["it was closed here"]
