"""What `scripts/bench-serial` runs: see there."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time

from bootstrap.transport.base import Command
from bootstrap.transport.serial.protocol.encodings import Encoding
from bootstrap.transport.serial.transport import SerialTransport
from tests.helpers.wires.faulty_wire import FaultyWire, WireLine

RATES = (11_520, 1_000_000)
SECONDS = 20
"""Seconds that the line needs for the raw bytes of a measurement."""
TARGETS = {Encoding.RAW: 0.95, Encoding.BASE64: 0.7}
READY, DONE = b"ready.", b"done."


def main() -> int:
    """Measure and print; 0 when everything arrived as it was, whatever the figures."""
    parser = argparse.ArgumentParser(description="Measure payload against what a serial line carries.")
    parser.add_argument("--errors", type=float, default=0.0, help="faults a byte, as in 0.0001")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds of line time of a measurement")
    options = parser.parse_args()
    right = True
    for rate in RATES:
        data = os.urandom(int(rate * options.seconds))
        raw = carried_raw(rate, data)
        print(f"raw line       {raw / 1000:10.2f} kB/s")
        for encoding in (Encoding.RAW, Encoding.BASE64, Encoding.OCTAL):
            # The last resort has a third of the rate, and all of the time.
            piece = data if encoding is not Encoding.OCTAL else data[: len(data) // 10]
            payload, as_it_was = carried_payload(rate, piece, encoding, options.errors)
            target = f"   target: at least {TARGETS[encoding]}" if encoding in TARGETS and not options.errors else ""
            print(
                f"  {encoding.name.lower():<12} {payload / 1000:10.2f} kB/s {payload / raw:8.2f} of it{target}",
                flush=True,
            )
            right = right and as_it_was
    return 0 if right else 1


def carried_raw(rate: float, data: bytes) -> float:
    """Bytes a second that get through the line to a program which does nothing but read them."""
    script = f"stty raw -echo; echo {READY.decode()}; head -c {len(data)} >/dev/null; echo {DONE.decode()}; sleep 60"
    with FaultyWire(["sh", "-c", script], rate=rate) as wire:
        line = wire.plug()
        heard(line, READY)
        began = time.monotonic()
        line.write(data)
        heard(line, DONE)
        return len(data) / (time.monotonic() - began)


def heard(line: WireLine, word: bytes) -> None:
    """Wait until the other side has said it."""
    said = b""
    while word not in said:
        said += line.read(60)


def carried_payload(rate: float, data: bytes, encoding: Encoding, errors: float) -> tuple[float, bool]:
    """Bytes a second of a stream that no packing makes smaller, and whether it arrived as it was."""
    with FaultyWire(rate=rate, errors=errors) as wire:
        way = SerialTransport("bench", wire.plug, encodings=(encoding,))
        # What follows is about the line, not about finding out what it carries.
        way.run(Command("warm up", "cat >/dev/null"), stdin=data[:4096])
        began = time.monotonic()
        chunks = iter([data[at : at + 65536] for at in range(0, len(data), 65536)])
        result = way.stream(Command("hash", "sha256sum"), chunks, total=len(data), progress=lambda done, total: None)
        seconds = time.monotonic() - began
        way.close()
    return len(data) / seconds, result.text.split()[0] == hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
