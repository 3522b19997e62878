"""A machine's console on a terminal."""

from __future__ import annotations

import os
import pty
import termios
from contextlib import closing

import pytest

from bootstrap.errors import ClusterupError, Refused
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.lab.machines import console
from bootstrap.lab.machines.console import attach_console, console_tail, console_url
from bootstrap.lab.machines.machine import stop_machine
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.line.open import open_line
from tests.integration.lab.conftest import Bench


def test_the_console_of_a_machine_that_is_off_is_an_error_with_what_it_said_last(bench: Bench) -> None:
    lab = bench.up()
    stop_machine(lab, "server-1")
    (lab.folder / "server-1" / "console.log").write_text("reboot: Power down\n")
    with pytest.raises(ClusterupError) as raised:
        attach_console(lab, "server-1")
    assert "reboot: Power down" in str(raised.value)
    assert console_tail(lab, "server-1", 5) == "reboot: Power down"


def test_a_second_terminal_is_told_about_the_first(bench: Bench) -> None:
    lab = bench.up()
    first = open_line(ConsoleTarget("server-1", console_url(lab, "server-1")), "lab console server-1")
    with closing(first), pytest.raises(Refused) as raised:
        attach_console(lab, "server-1")
    assert f"(process {os.getpid()}) since" in str(raised.value)
    assert ": lab console server-1" in str(raised.value)


def test_a_terminal_is_raw_while_attached_and_as_before_afterwards(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = bench.up()
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    during: list[int] = []

    def once(line: Line, *_: object) -> None:
        during.append(termios.tcgetattr(theirs)[3] & (termios.ICANON | termios.ECHO | termios.ISIG))
        line.close()

    with os.fdopen(theirs, "rb", buffering=0) as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", terminal)
        patch.setattr(console, "converse", once)
        patch.setattr("sys.stdout", terminal)
        attach_console(lab, "server-1")
        assert during == [0]
        assert termios.tcgetattr(theirs) == before
    os.close(ours)
