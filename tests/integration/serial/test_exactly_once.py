"""Requests and answers that are lost or come twice: each command runs once all the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bootstrap.transport.base import Command
from bootstrap.transport.serial.transport import SerialTransport
from tests.helpers.wires.faulty_wire import FaultyWire, WireLine

COMMANDS = 15


class Unreliable(WireLine):
    """Loses or repeats whole writes and whole reads, once it is told to."""

    numbers = random.Random()
    times: tuple[int, ...] = (1,)

    def write(self, data: bytes) -> None:
        super().write(data * self.numbers.choice(self.times))

    def read(self, seconds: float) -> bytes:
        return super().read(seconds) * self.numbers.choice(self.times)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_command_runs_once(tmp_path: Path, seed: int) -> None:
    runs = tmp_path / "runs"
    with FaultyWire() as wire:
        wire.plug()
        line = Unreliable(wire, wire.plugged)
        way = SerialTransport("s1", wire.plug, line=line, patience=60)
        line.numbers, line.times = random.Random(seed), (0, 1, 1, 1, 2, 3)
        for number in range(COMMANDS):
            script = Command.of("count", "echo {0} >>{1}; echo {0}; exit {0}", str(number), str(runs))
            result = way.run(script)
            assert (result.status, result.text) == (number, f"{number}\n")
        line.times = (1,)
        way.close()
    assert runs.read_text().split() == [str(number) for number in range(COMMANDS)]


def test_input_that_is_sent_twice_arrives_once(tmp_path: Path) -> None:
    data = random.Random(5).randbytes(60_000)
    with FaultyWire() as wire:
        wire.plug()
        line = Unreliable(wire, wire.plugged)
        way = SerialTransport("s1", wire.plug, line=line, patience=60)
        way.run(Command("warm up", "cat >/dev/null"), stdin=data)
        line.numbers, line.times = random.Random(6), (1,) * 10 + (2,)
        result = way.run(Command("keep", "cat"), stdin=data, timeout=300)
        line.times = (1,)
        way.close()
    assert result.stdout == data
