"""One byte in 10,000 is dropped, doubled or flipped, both ways, and a kernel prints into it all."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from bootstrap.transport.base import Command
from bootstrap.transport.serial.transport import SerialTransport
from tests.helpers.wires.faulty_wire import FaultyWire

COMMANDS = 1000
FILE_SIZE = 5_000_000
ERRORS = 1e-4
KERNEL = 3000


def test_a_thousand_commands_and_a_file_of_5_mb_come_through_a_bad_wire_unharmed(tmp_path: Path) -> None:
    numbers = random.Random(20)
    source, destination, runs = tmp_path / "source", tmp_path / "there" / "file", tmp_path / "runs"
    source.write_bytes(numbers.randbytes(FILE_SIZE))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with FaultyWire(seed=4, errors=ERRORS, kernel=KERNEL) as wire:
        way = SerialTransport("s1", wire.plug)
        for number in range(COMMANDS):
            said = numbers.randbytes(numbers.randrange(200))
            script = f"echo {number} >>{runs}; cat; echo 'error {number}' >&2; exit {number % 256}"
            result = way.run(Command("one of many", script), stdin=said)
            assert (result.status, result.stdout, result.stderr) == (number % 256, said, f"error {number}\n".encode())
        done: list[int] = []
        way.upload(source, str(destination), sha256=digest, mode=0o640, progress=lambda at, _: done.append(at))
        way.close()
        assert wire.faults > 500, "the wire was not as bad as it should be"
    assert runs.read_text().split() == [str(number) for number in range(COMMANDS)], "each command ran once"
    assert hashlib.sha256(destination.read_bytes()).hexdigest() == digest
    assert destination.stat().st_mode & 0o777 == 0o640
    assert done == sorted(done)
    assert done[-1] == FILE_SIZE
