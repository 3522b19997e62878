"""A cable that is pulled and put back, a line that says nothing, a shell that went away in between."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.transport.base import Command
from bootstrap.transport.errors import LineLost, TransportError
from bootstrap.transport.serial.errors import ConsoleLoginFailed
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.transport import SerialTransport
from tests.helpers.daemons import wait_for
from tests.helpers.wires.faulty_wire import FaultyWire, WireLine

SIZE = 1_200_000
CUT = 300_000
CHUNK = re.compile(rb"\n\w{12} \d+ 4 [1-9]\d* (\d+) ")
"""The request that goes before a chunk of a stream, and where in the stream the chunk begins."""


@dataclass
class Cut:
    """Does something to the wire once, when the node has confirmed CUT bytes; knows what was sent and there by then."""

    wire: FaultyWire
    happen: Callable[[], None]
    there: int = 0
    sent: int = 0
    told: list[int] = field(default_factory=list)

    def __call__(self, done: int, total: int) -> None:
        self.told.append(done)
        if done > CUT and not self.there:
            self.there, self.sent = done, len(self.wire.taken)
            self.happen()

    def sent_again(self) -> list[int]:
        """Beginnings of chunks that were sent afterwards though they were there."""
        begun = [int(place) for place in CHUNK.findall(self.wire.taken, self.sent)]
        assert begun, "nothing was sent afterwards"
        return [place for place in begun if place < self.there]


@pytest.fixture
def wire() -> Iterator[FaultyWire]:
    with FaultyWire(rate=1_000_000) as wire:
        yield wire


def sent_through(way: SerialTransport, cut: Cut, path: Path) -> bytes:
    """Stream SIZE bytes into a file; returns them."""
    data = random.Random(7).randbytes(SIZE)
    chunks = iter([data[at : at + 30_000] for at in range(0, SIZE, 30_000)])
    way.stream(Command.of("keep", "cat >>{}", str(path)), chunks, total=SIZE, progress=cut)
    return data


def test_a_transfer_goes_on_where_it_was_when_the_cable_is_back(wire: FaultyWire, tmp_path: Path) -> None:
    way = SerialTransport("s1", wire.plug, patience=20)
    cut = Cut(wire, wire.unplug)
    assert sent_through(way, cut, tmp_path / "kept") == (tmp_path / "kept").read_bytes()
    assert cut.sent_again() == []
    assert len(wire.taken) < 1.5 * SIZE
    assert cut.told == sorted(cut.told)
    assert way.alive
    way.close()


def test_a_transfer_goes_on_in_a_new_shell_when_the_old_one_was_hung_up(wire: FaultyWire, tmp_path: Path) -> None:
    def hang_up() -> None:
        wire.unplug()
        wire.end_shell()
        wire.start_shell()

    way = SerialTransport("s1", wire.plug, patience=20)
    cut = Cut(wire, hang_up)
    assert sent_through(way, cut, tmp_path / "kept") == (tmp_path / "kept").read_bytes()
    assert cut.sent_again() == []
    assert len(wire.taken) < 1.5 * SIZE
    way.close()


def test_a_transfer_goes_on_after_somebody_took_the_console(wire: FaultyWire, tmp_path: Path) -> None:
    """What gets a shell types Enter and Ctrl-C, and looks for a prompt: the far side makes room."""

    def reopen() -> Line:
        line = wire.plug()
        prompted(line)
        return line

    way = SerialTransport("s1", reopen, line=wire.plug(), patience=20)
    cut = Cut(wire, wire.unplug)
    assert sent_through(way, cut, tmp_path / "kept") == (tmp_path / "kept").read_bytes()
    assert cut.sent_again() == []
    assert len(wire.taken) < 1.5 * SIZE
    way.close()


def prompted(line: WireLine, keys: bytes = b"\x03\r") -> None:
    """Type keys until there is a prompt."""
    heard = bytearray()

    def typed() -> bool:
        line.write(keys)
        heard.extend(line.read(1.5))
        return b"# " in heard

    wait_for(typed, "a prompt", 20)


def test_a_person_gets_the_shell_with_enter(wire: FaultyWire) -> None:
    way = SerialTransport("s1", wire.plug, patience=20)
    person = wire.plug()
    prompted(person, b"\r")
    assert way.run(Command("afterwards", "echo there")).text == "there\n"
    way.close()


def test_a_command_runs_once_though_the_cable_was_pulled_meanwhile(wire: FaultyWire, tmp_path: Path) -> None:
    runs, go = tmp_path / "runs", tmp_path / "go"

    def reopen() -> Line:
        if runs.exists():
            go.touch()
        return wire.plug()

    class Pulled(WireLine):
        def read(self, seconds: float) -> bytes:
            if runs.exists() and not go.exists():
                wire.unplug()
            return super().read(seconds)

    first = Pulled(wire, 1)
    wire.plug()
    way = SerialTransport("s1", reopen, line=first, patience=20)
    script = Command.of("once", "echo x >>{0}; until [ -e {1} ]; do sleep 0.05; done; echo done", str(runs), str(go))
    assert way.run(script).text == "done\n"
    assert runs.read_text() == "x\n"
    way.close()


def test_a_node_that_was_restarted_has_cut_the_command_off(wire: FaultyWire, tmp_path: Path) -> None:
    before = set(Path("/run").glob("clusterup-serial.*"))
    began = tmp_path / "began"

    def restarted() -> Line:
        if began.exists():
            wire.end_shell()
            for folder in set(Path("/run").glob("clusterup-serial.*")) - before:
                shutil.rmtree(folder)
            wire.start_shell()
        return wire.plug()

    class Ends(WireLine):
        def read(self, seconds: float) -> bytes:
            if began.exists():
                raise LineLost("gone", node="s1", hint="wait")
            return super().read(seconds)

    first = Ends(wire, 1)
    wire.plug()
    way = SerialTransport("s1", restarted, line=first, patience=20)
    with pytest.raises(TransportError) as caught:
        way.run(Command.of("long", "touch {}; sleep 600", str(began)))
    assert caught.value.problem == "'long' was cut off"
    assert "restarted" in (caught.value.got or "")
    assert way.run(Command("next", "echo there")).text == "there\n"
    way.close()


def test_a_login_that_is_refused_when_a_line_comes_back_is_not_tried_again(wire: FaultyWire) -> None:
    tried: list[int] = []

    def refused() -> Line:
        tried.append(len(tried))
        raise ConsoleLoginFailed("not with that password", node="s1", hint="correct it")

    class Ends(WireLine):
        def read(self, seconds: float) -> bytes:
            if unplugged:
                raise LineLost("gone", node="s1", hint="wait")
            return super().read(seconds)

    unplugged: list[bool] = []
    first = Ends(wire, 1)
    wire.plug()
    way = SerialTransport("s1", refused, line=first, patience=20)
    unplugged.append(True)
    with pytest.raises(ConsoleLoginFailed, match="not with that password"):
        way.run(Command("next", "echo there"))
    assert tried == [0]
    way.close()


def test_a_line_that_says_nothing_is_told_apart_with_its_device_and_speed() -> None:
    with FaultyWire(["sleep", "600"], only=lambda data: b"") as wire, pytest.raises(TransportError) as caught:
        began = time.monotonic()
        SerialTransport("s1", wire.plug, patience=2)
    assert time.monotonic() - began < 30
    assert caught.value.problem == "its console says nothing"
    assert "/dev/ttyTEST at 115200" in (caught.value.tried or "")
    assert caught.value.got == "nothing was seen on the line"
    assert "cable" in caught.value.hint


def test_a_line_that_says_something_else_is_shown_as_it_is() -> None:
    noise = ["sh", "-c", r"stty -echo; while :; do printf 'login\033[0m: \001\r'; sleep 0.5; done"]
    with FaultyWire(noise) as wire, pytest.raises(TransportError) as caught:
        SerialTransport("s1", wire.plug, patience=2)
    assert caught.value.problem == "what its console says is not an answer to us"
    assert r"login\e[0m: \x01\r" in (caught.value.got or "")


def test_a_node_that_falls_silent_is_reported_within_the_patience(wire: FaultyWire) -> None:
    way = SerialTransport("s1", wire.plug, patience=2)
    wire.silence()
    with pytest.raises(TransportError) as caught:
        way.run(Command("anything", "true"))
    assert "/dev/ttyTEST at 115200" in (caught.value.tried or "")
    assert not way.alive


def test_a_cable_that_stays_away_is_reported(wire: FaultyWire) -> None:
    def reopen() -> Line:
        raise LineLost("can't be opened", node="s1", step="console", got="No such device", hint="put it back")

    way = SerialTransport("s1", reopen, line=wire.plug(), patience=2, comeback=0)
    wire.unplug()
    with pytest.raises(TransportError) as caught:
        way.run(Command("anything", "true"))
    assert caught.value.problem == "the line to its console was lost and did not come back"
    assert "No such device" in (caught.value.got or "")
    assert "/dev/ttyTEST at 115200" in (caught.value.tried or "")
    assert not way.alive


def test_a_line_that_raw_bytes_close_is_spared_them(tmp_path: Path) -> None:
    """As the program of a virtual machine's console, which takes Ctrl-] as its own end."""
    with FaultyWire() as wire:

        class Touchy(WireLine):
            def write(self, data: bytes) -> None:
                if b"\x1d" in data:
                    wire.unplug()
                super().write(data)

        def reopen() -> Line:
            wire.plug()
            return Touchy(wire, wire.plugged)

        way = SerialTransport("s1", reopen, patience=20)
        data = random.Random(9).randbytes(100_000)
        way.stream(
            Command.of("keep", "cat >{}", str(tmp_path / "kept")), iter([data]), total=len(data), progress=ignore
        )
        way.close()
    assert (tmp_path / "kept").read_bytes() == data


def test_a_line_of_seven_bits_carries_everything(tmp_path: Path) -> None:
    with FaultyWire(only=lambda data: bytes(byte & 127 for byte in data)) as wire:
        way = SerialTransport("s1", wire.plug, patience=20)
        data = random.Random(9).randbytes(100_000)
        result = way.run(Command("there and back", "cat"), stdin=data)
        way.close()
    assert result.stdout == data


def ignore(done: int, total: int) -> None:
    """Progress that no one looks at."""
