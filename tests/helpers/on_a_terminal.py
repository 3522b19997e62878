"""A command on a terminal of its own: what reaches the screen, byte for byte."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROWS, COLUMNS = 50, 200
# What Rich writes to move, to colour and to show or hide the cursor, and what a terminal makes of line ends.
OWN = re.compile(rb"\x1b\[[0-9;]*[mKAG]|\x1b\[\?25[lh]|\r")


@dataclass(frozen=True)
class Screen:
    """How the command ended, and all that it wrote to the terminal."""

    status: int
    shown: bytes

    @property
    def text(self) -> str:
        """What a person reads: without what moves and colours."""
        return OWN.sub(b"", self.shown).decode()

    @property
    def foreign(self) -> set[str]:
        """What in `text` a terminal would act upon, but for the ends of lines."""
        return {letter for letter in self.text if not letter.isprintable() and letter != "\n"}


def on_a_terminal(
    argv: Sequence[str | bytes],
    folder: Path,
    environment: Mapping[str, str],
    *,
    kind: str,
    typed: bytes = b"",
    then: Mapping[bytes, bytes] | None = None,
) -> Screen:
    """Run the command in `folder` with a terminal of that `kind` (TERM) as standard input, output and error. `typed` is
    what a person has typed by then, and `then` what they type when they see something."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    mine = {name: value for name, value in os.environ.items() if name not in ("SSH_AUTH_SOCK", "COLUMNS", "NO_COLOR")}
    shown = bytearray()
    os.write(ours, typed)
    try:
        with subprocess.Popen(
            argv,
            cwd=folder,
            env={**mine, **environment, "TERM": kind},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            theirs = -1
            answers = dict(then or {})
            while data := _read(ours):
                shown += data
                for seen in [seen for seen in answers if seen in shown]:
                    os.write(ours, answers.pop(seen))
            status = process.wait(60)
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
    return Screen(status, bytes(shown))


def _read(terminal: int) -> bytes:
    """What came next; empty when no one has the other end any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
