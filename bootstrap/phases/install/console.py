"""Installing a node over its console alone: how long it takes, and how it is seen that the installed system started."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from bootstrap.connect.console_target import INSTALLED, Heard
from bootstrap.engine.action import Context
from bootstrap.errors import ClusterupError
from bootstrap.image.bundle import Artifact, Segment
from bootstrap.image.disk.segments import unpacked_chunks
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.phases.install import commands
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.line.open import open_line

LOOK_SECONDS = 1.0
AGAIN_SECONDS = 0.2
"""Between two looks: less than a terminal takes to fill up, more than nothing where the line can't be opened."""
PART = 8 << 20
"""Bytes that are looked for on the disk, and sent, as a whole."""
Send = Callable[[Context, str, str, Artifact, Sequence[Segment]], None]
"""Brings segments of an image to a disk: (context, node, disk, image, segments)."""
BITS = 10
"""Bits on the line for a byte: a start bit, eight, a stop bit."""
OVERHEAD = 1.05
"""What framing and sums add (docs/serial.md)."""


def seconds_over(console: ConsoleTarget, size: int) -> float:
    """Seconds that `size` bytes take over the console at the speed that the inventory says it has."""
    return size * BITS * OVERHEAD / console.baud


def estimate(console: ConsoleTarget, size: int) -> str:
    """How long `size` bytes take over the console, in words: "about 2 h 5 min over /dev/ttyUSB0 at 115200 baud"."""
    hours, minutes = divmod(max(1, round(seconds_over(console, size) / 60)), 60)
    time = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"about {time} over {console.url} at {console.baud} baud ({size / 1e6:.0f} MB)"


def send_missing(console: ConsoleTarget) -> Send:
    """Sends those parts of an image that are not on the disk yet: after an interruption, it goes on where it was."""

    def send(context: Context, node: str, disk: str, image: Artifact, segments: Sequence[Segment]) -> None:
        total, done = sum(segment.size for segment in segments), 0
        patience = 3600.0 + 4 * seconds_over(console, PART)
        for segment in segments:
            end = segment.offset + segment.size
            parts = [(at, min(PART, end - at)) for at in range(segment.offset, end, PART)]
            context.say("looking for what is there already")
            there = context.on(node).check(commands.hash_image(disk, parts), timeout=1800).text.split()
            content = parts_of(unpacked_chunks(image.content, segment))
            for (offset, size), found, data in zip(parts, there, content, strict=True):
                if hashlib.sha256(data).hexdigest() != found:
                    context.on(node).stream(
                        commands.write_segment(disk, offset),
                        iter((data,)),
                        total=size,
                        progress=lambda sent, _, done=done: context.progress(done + sent, total),  # type: ignore[misc]
                        timeout=patience,
                    )
                done += size
                context.progress(done, total)

    return send


def parts_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of `PART` bytes; the last one may be shorter."""
    kept = bytearray()
    for chunk in chunks:
        kept += chunk
        while len(kept) >= PART:
            yield bytes(kept[:PART])
            del kept[:PART]
    if kept:
        yield bytes(kept)


def wait_for_installed(context: Context, node: str, console: ConsoleTarget, expected: str, timeout: float) -> None:
    """Read what the console says until it is that of the installed system with the configuration `expected` (SHA-256),
    for `timeout` seconds. Raises ClusterupError when it doesn't come, or comes with another configuration."""
    waiting = _Waiting(console)
    try:
        context.wait_until(waiting.installed, what="the installed system", timeout=timeout, every=AGAIN_SECONDS)
    finally:
        waiting.close()
    if waiting.configuration != expected:
        raise ClusterupError(
            "the machine came back with something else than what was installed",
            node=node,
            step="boot",
            tried="read what its console says",
            got=f"configuration {waiting.configuration}",
            hint="set its firmware to start from the disk it was installed to",
        )


class _Waiting:
    """Reads a console, opened again where it was lost: a management board may end it when the machine restarts."""

    def __init__(self, console: ConsoleTarget) -> None:
        self.configuration = ""
        self._console = console
        self._heard: Heard | None = None

    def installed(self) -> bool:
        """Whether the installed system has shown itself. Raises ConsoleFailed, LineLost."""
        if self._heard is None:
            self._heard = Heard(open_line(self._console, "waiting for the installed system"))
        try:
            self._heard.read(LOOK_SECONDS)
        except LineLost:
            self.close()
            raise
        found = INSTALLED.findall(self._heard.text)
        self.configuration = found[-1] if found else ""
        return bool(found)

    def close(self) -> None:
        if self._heard is not None:
            self._heard.close()
            self._heard = None
