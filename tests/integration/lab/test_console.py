"""A machine's console on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bootstrap.errors import ClusterupError, Refused
from bootstrap.lab import console
from bootstrap.lab.console import attach_console, console_tail, relay
from bootstrap.lab.machine import stop_machine
from tests.integration.lab.conftest import Bench


@dataclass
class Desk:
    """Both ends of a relay: the machine's side of the console, and a keyboard and a screen."""

    machine: socket.socket
    keyboard: int
    screen: int
    thread: threading.Thread


@pytest.fixture
def desk() -> Iterator[Desk]:
    ours, machine = socket.socketpair()
    keyboard_end, keyboard = os.pipe()
    screen, screen_end = os.pipe()
    thread = threading.Thread(target=relay, args=(ours, keyboard_end, screen_end))
    thread.start()
    yield Desk(machine, keyboard, screen, thread)
    machine.close()
    thread.join()
    ours.close()
    for descriptor in (keyboard_end, keyboard, screen, screen_end):
        os.close(descriptor)


def test_what_is_typed_reaches_the_machine_and_what_it_says_the_screen(desk: Desk) -> None:
    os.write(desk.keyboard, b"root\r")
    assert desk.machine.recv(100) == b"root\r"
    desk.machine.sendall(b"Password: \xff")
    assert os.read(desk.screen, 100) == b"Password: \xff"


def test_control_c_is_the_machines(desk: Desk) -> None:
    os.write(desk.keyboard, b"\x03")
    assert desk.machine.recv(100) == b"\x03"
    assert desk.thread.is_alive()


def test_the_escape_ends_it_after_what_was_typed_before(desk: Desk) -> None:
    os.write(desk.keyboard, b"ab\x1dcd")
    desk.thread.join()
    desk.machine.settimeout(0)
    assert desk.machine.recv(100) == b"ab"
    with pytest.raises(BlockingIOError):
        desk.machine.recv(100)


def test_it_ends_when_the_machine_is_switched_off(desk: Desk) -> None:
    desk.machine.close()
    desk.thread.join()


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
    with (lab.folder / "server-1" / console.CONSOLE_LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Refused) as raised:
            attach_console(lab, "server-1")
    assert "another terminal" in str(raised.value)


def test_a_terminal_is_raw_while_attached_and_as_before_afterwards(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = bench.up()
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    during: list[int] = []

    def once(*_: object) -> None:
        during.append(termios.tcgetattr(theirs)[3] & (termios.ICANON | termios.ECHO | termios.ISIG))

    with os.fdopen(theirs, "rb", buffering=0) as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", terminal)
        patch.setattr(console, "relay", once)
        patch.setattr("sys.stdout", terminal)
        attach_console(lab, "server-1")
        assert during == [0]
        assert termios.tcgetattr(theirs) == before
    os.close(ours)
