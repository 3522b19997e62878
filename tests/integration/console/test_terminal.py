"""A console on a person's terminal: keys, the escape, what is kept, and a terminal that is as before afterwards."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.line.descriptor import DescriptorLine, Plain
from bootstrap.transport.serial.line.log import ConsoleLog, rotated
from bootstrap.transport.serial.line.open import open_line
from bootstrap.ui.console import converse, follow
from tests.helpers.daemons import wait_for

CLUSTERUP = (sys.executable, "-c", "from bootstrap.cli.start import start; start()")


class Breaking(Plain):
    """Descriptors that count breaks."""

    breaks = 0

    def send_break(self) -> None:
        self.breaks += 1


@dataclass
class Desk:
    """Both ends of a conversation: the machine's side of the console, and a keyboard and a screen."""

    machine: socket.socket
    keyboard: int
    screen: int
    thread: threading.Thread
    carried: Breaking
    kept: list[bytes] = field(default_factory=list)
    lost: list[LineLost] = field(default_factory=list)


@pytest.fixture
def desk() -> Iterator[Desk]:
    ours, machine = socket.socketpair()
    keyboard_end, keyboard = os.pipe()
    screen, screen_end = os.pipe()
    carried = Breaking(ours.close)
    line = DescriptorLine("node1", "a line", (ours.fileno(), ours.fileno()), carried)
    made: list[Desk] = []

    def talks() -> None:
        try:
            converse(line, keyboard_end, screen_end, made[0].kept.append)
        except LineLost as error:
            made[0].lost.append(error)

    thread = threading.Thread(target=talks)
    made.append(Desk(machine, keyboard, screen, thread, carried))
    thread.start()
    yield made[0]
    machine.close()
    thread.join(20)
    assert not thread.is_alive()
    for descriptor in (keyboard_end, keyboard, screen, screen_end):
        os.close(descriptor)


def test_what_is_typed_reaches_the_machine_and_what_it_says_the_screen(desk: Desk) -> None:
    os.write(desk.keyboard, b"root\r\x03")
    assert desk.machine.recv(6, socket.MSG_WAITALL) == b"root\r\x03"
    desk.machine.sendall(b"Password: \xff")
    assert os.read(desk.screen, 100) == b"Password: \xff"
    assert desk.kept == [b"Password: \xff"]


@pytest.mark.parametrize("leaving", [b"\x1dq", b"\x1d.", b"\x1d\x1d"])
def test_the_escape_ends_it_after_what_was_typed_before(desk: Desk, leaving: bytes) -> None:
    os.write(desk.keyboard, b"ab" + leaving + b"cd")
    desk.thread.join(20)
    assert desk.machine.recv(100) == b"ab"
    assert desk.machine.recv(100) == b""
    assert desk.lost == []


def test_the_escape_may_come_in_two_pieces_and_be_sent_itself(desk: Desk) -> None:
    os.write(desk.keyboard, b"a\x1d")
    assert desk.machine.recv(1) == b"a"
    os.write(desk.keyboard, b"]b")
    assert desk.machine.recv(2, socket.MSG_WAITALL) == b"\x1db"


def test_a_break_is_sent(desk: Desk) -> None:
    os.write(desk.keyboard, b"\x1db")
    wait_for(lambda: desk.carried.breaks == 1, "the break")


def test_the_list_of_keys_and_a_key_that_means_nothing(desk: Desk) -> None:
    os.write(desk.keyboard, b"\x1d?")
    listed = os.read(desk.screen, 1000).decode()
    assert "Ctrl-] q  leave the console" in listed
    assert "Ctrl-] b  send a break" in listed
    os.write(desk.keyboard, b"\x1dx")
    assert "mean nothing; Ctrl-] q leaves" in os.read(desk.screen, 1000).decode()


def test_it_ends_with_a_failure_when_the_line_does(desk: Desk) -> None:
    desk.machine.close()
    desk.thread.join(20)
    assert desk.lost[0].got == "the other side closed it"


def test_a_line_that_takes_nothing_can_be_left(desk: Desk) -> None:
    typed = threading.Thread(target=lambda: os.write(desk.keyboard, bytes(3_000_000) + b"\x1dq"))
    typed.start()
    typed.join()
    desk.thread.join(30)
    assert not desk.thread.is_alive()


def test_a_log_is_followed_past_its_end_and_its_rotation(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "log", limit=100)
    log.write(b"before\r\n")
    keyboard_end, keyboard = os.pipe()
    screen, screen_end = os.pipe()
    held = threading.Event()
    held.set()
    left: list[bool] = []
    follower = threading.Thread(
        target=lambda: left.append(follow(tmp_path / "log", keyboard_end, screen_end, held.is_set))
    )
    follower.start()
    seen = b""

    def shown(what: bytes) -> bool:
        nonlocal seen
        if select.select([screen], [], [], 0.05)[0]:
            seen += os.read(screen, 4096)
        return what in seen

    wait_for(lambda: shown(b"before"), "what was there")
    log.write(b"x" * 100 + b"one\r\n")
    wait_for(lambda: shown(b"one"), "what was added")
    log.write(b"two\r\n")
    wait_for(lambda: shown(b"two"), "what the next file has")
    assert rotated(tmp_path / "log").exists()
    os.write(keyboard, b"rm -rf /\r")
    wait_for(lambda: shown(b"read-only"), "the answer to a key")
    log.write(b"last words")
    held.clear()
    follower.join(20)
    assert shown(b"last words")
    assert left == [False]
    log.close()
    for descriptor in (keyboard_end, keyboard, screen, screen_end):
        os.close(descriptor)


@dataclass
class Seat:
    """A person's terminal with `clusterup console` on it."""

    program: subprocess.Popen[bytes]
    hands: int
    terminal: int
    seen: bytes = b""

    def sees(self, what: str) -> None:
        def looked() -> bool:
            if select.select([self.hands], [], [], 0.05)[0]:
                self.seen += os.read(self.hands, 4096)
            return what.encode() in self.seen

        wait_for(looked, f"{what!r} on the screen")

    def types(self, keys: bytes) -> None:
        os.write(self.hands, keys)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "inventory.yaml").write_text(
        """\
cluster: { name: one }
nodes:
  - { name: s1, role: server, address: 10.0.0.1, console: { url: "command: cat" } }
  - { name: a1, address: 10.0.0.2 }
"""
    )
    return tmp_path


@pytest.fixture
def sits(folder: Path) -> Iterator[Callable[..., Seat]]:
    """Starts `clusterup console` on a terminal of its own."""
    seats: list[Seat] = []

    def start(*arguments: str) -> Seat:
        hands, terminal = pty.openpty()
        program = subprocess.Popen(
            ["setsid", "--ctty", *CLUSTERUP, "console", *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        )
        seats.append(Seat(program, hands, terminal))
        return seats[-1]

    yield start
    for seat in seats:
        seat.program.kill()
        seat.program.wait()
        os.close(seat.hands)
        os.close(seat.terminal)


def is_raw(seat: Seat) -> bool:
    return not termios.tcgetattr(seat.terminal)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


@contextmanager
def as_before(seat: Seat) -> Iterator[None]:
    """The terminal is raw inside, and afterwards as a fresh one is."""
    wait_for(lambda: is_raw(seat), "a raw terminal")
    yield
    seat.program.wait(30)
    fresh = pty.openpty()
    assert termios.tcgetattr(seat.terminal) == termios.tcgetattr(fresh[1])
    for descriptor in fresh:
        os.close(descriptor)


def test_the_console_of_a_node_is_typed_at_kept_and_left(sits: Callable[..., Seat], folder: Path) -> None:
    seat = sits("s1", "--log", "mine.log")
    seat.sees("-- console of s1, command: cat; Ctrl-] q leaves")
    with as_before(seat):
        seat.types(b"hello")
        seat.sees("hello")
        seat.types(b"\x1dq")
        seat.sees("-- left the console of s1 --")
    assert seat.program.returncode == 0
    for kept in (folder / "mine.log", folder / "state" / "clusterup" / "consoles" / "one" / "s1.log"):
        assert kept.read_bytes() == b"hello"
        assert kept.stat().st_mode & 0o777 == 0o600
    piped = subprocess.run(
        [*CLUSTERUP, "console", "s1"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert piped.stdout == "hello\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_as_before_after_a_signal(sits: Callable[..., Seat], number: signal.Signals) -> None:
    seat = sits("s1")
    with as_before(seat):
        seat.program.send_signal(number)
    assert seat.program.returncode == 128 + number


def test_the_terminal_is_as_before_after_the_line_was_lost(sits: Callable[..., Seat], folder: Path) -> None:
    text = (folder / "inventory.yaml").read_text()
    (folder / "inventory.yaml").write_text(text.replace("command: cat", "command: sh -c 'read line; echo bye; exit 4'"))
    seat = sits("s1")
    with as_before(seat):
        seat.types(b"\n")
        seat.sees("it ended with status 4, having said: bye")
    assert seat.program.returncode == 1


def test_while_another_clusterup_reads_it_is_shown_and_nothing_is_typed(
    sits: Callable[..., Seat], folder: Path
) -> None:
    log = folder / "state" / "clusterup" / "consoles" / "one" / "s1.log"
    line = open_line(ConsoleTarget("s1", "command: cat", log=log), "apply of one")
    seat = sits("s1")
    seat.sees(": apply of one")
    seat.sees("-- console of s1, read-only while it is in use")
    with as_before(seat):
        line.write(b"[ 12.3] booting")
        wait_for(lambda: line.read(0.1) != b"", "what the apply reads")
        seat.sees("[ 12.3] booting")
        seat.types(b"hello")
        seat.sees("-- read-only")
        line.close()
        seat.sees("it is free now")
    assert b"hello" not in log.read_bytes()
    assert seat.program.returncode == 0


@pytest.mark.parametrize(
    ("node", "said"), [("a1", "a1 has no console in inventory.yaml"), ("b9", "there is no node b9 in inventory.yaml")]
)
def test_a_node_without_a_console_is_bad_use(sits: Callable[..., Seat], node: str, said: str) -> None:
    seat = sits(node)
    seat.sees(said)
    seat.sees("nodes with a console: s1")
    assert seat.program.wait(30) == 2
