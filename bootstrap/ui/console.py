"""A console on a person's terminal: every key goes to the machine but Ctrl-], which is for us."""

from __future__ import annotations

import os
import queue
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import FrameType

from bootstrap.paths import private_folder
from bootstrap.signals import handled
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.line.base import Line

ESCAPE = b"\x1d"  # Ctrl-]
LEAVE_HINT = "Ctrl-] q leaves, Ctrl-] ? lists what else there is"
LOOK = 0.2
SHOWN_BEFORE = 4096
"""Bytes of a followed log that are shown before what is new."""

Keep = Callable[[bytes], object]


class Key(StrEnum):
    """What may follow Ctrl-]."""

    QUIT = "q"
    BREAK = "b"
    LITERAL = "]"
    HELP = "?"


WORDS = {
    Key.QUIT: "leave the console (so does . or a second Ctrl-])",
    Key.BREAK: "send a break, where the line carries one",
    Key.LITERAL: "send Ctrl-] itself",
    Key.HELP: "this list",
}
_KEYS = {b"q": Key.QUIT, b".": Key.QUIT, ESCAPE: Key.QUIT, b"b": Key.BREAK, b"]": Key.LITERAL, b"?": Key.HELP}


class Typed:
    """What a person types, taken apart: bytes for the machine, and what follows Ctrl-] (None for a key that means
    nothing)."""

    def __init__(self) -> None:
        self._escaped = False

    def parts(self, data: bytes) -> Iterator[bytes | Key | None]:
        plain = bytearray()
        for number in data:
            byte = bytes((number,))
            if self._escaped:
                self._escaped = False
                yield _KEYS.get(byte)
            elif byte == ESCAPE:
                if plain:
                    yield bytes(plain)
                    plain.clear()
                self._escaped = True
            else:
                plain += byte
        if plain:
            yield bytes(plain)


def converse(line: Line, keyboard: int, screen: int, keep: Keep = lambda _: None) -> None:
    """Carry bytes both ways until the person leaves or the keyboard ends; `keep` gets what is shown. The line is closed
    afterwards.

    Raises LineLost when the line ends first.
    """
    lost: list[LineLost] = []
    typed: queue.SimpleQueue[bytes | Key | None] = queue.SimpleQueue()
    ended, ends = os.pipe()

    def until_lost(work: Callable[[], None]) -> None:
        try:
            work()
        except LineLost as error:
            lost.append(error)
        os.write(ends, b"x")

    def show() -> None:
        while True:
            if data := line.read(60.0):
                keep(data)
                _write(screen, data)

    def send() -> None:
        # Apart from the keyboard: a line that takes nothing must not keep the person from leaving.
        while (part := typed.get()) is not None:
            if part is Key.BREAK:
                line.send_break()
            elif isinstance(part, bytes):
                line.write(part)

    threads = [threading.Thread(target=until_lost, args=(work,), daemon=True) for work in (show, send)]
    for thread in threads:
        thread.start()
    left = False
    try:
        left = _read_keys(keyboard, ended, screen, typed.put)
    finally:
        typed.put(None)
        if left:
            # What was typed last is sent before the line is closed, if it takes it.
            threads[1].join(1.0)
        line.close()
        for thread in threads:
            thread.join()
        os.close(ended)
        os.close(ends)
    if lost and not left:
        raise lost[0]


def follow(log: Path, keyboard: int, screen: int, held: Callable[[], bool], keep: Keep = lambda _: None) -> bool:
    """Show what is added to a console's log, until the person leaves (True), or until whoever writes it has ended and
    all of it was shown (False). Nothing that is typed goes anywhere."""
    typed = Typed()
    with _Followed(log) as followed:
        while True:
            alive = held()
            while data := followed.read():
                keep(data)
                _write(screen, data)
            if not alive:
                return False
            if select.select([keyboard], [], [], LOOK)[0]:
                data = _keys(keyboard)
                if not data:
                    return True
                for part in typed.parts(data):
                    if part is Key.QUIT:
                        return True
                    _say(screen, "read-only: it is in use; Ctrl-] q leaves")


class _Followed:
    """A file that grows, and that another one may take the place of when it is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        private_folder(path.parent)
        self._handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
        os.lseek(self._handle, max(0, os.fstat(self._handle).st_size - SHOWN_BEFORE), os.SEEK_SET)

    def __enter__(self) -> _Followed:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def read(self) -> bytes:
        if data := os.read(self._handle, 65536):
            return data
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino != os.fstat(self._handle).st_ino:
                os.close(self._handle)
                self._handle = os.open(self._path, os.O_RDONLY)
                return os.read(self._handle, 65536)
        return b""


def _read_keys(keyboard: int, ended: int, screen: int, put: Callable[[bytes | Key], object]) -> bool:
    """Hand on what is typed until the person leaves (True) or the line has ended (False)."""
    typed = Typed()
    while True:
        ready, _, _ = select.select([keyboard, ended], [], [])
        if ended in ready:
            return False
        data = _keys(keyboard)
        if not data:
            return True
        for part in typed.parts(data):
            if part is Key.QUIT:
                return True
            if part is Key.HELP:
                _say(screen, *(f"Ctrl-] {key.value}  {words}" for key, words in WORDS.items()))
            elif part is Key.LITERAL:
                put(ESCAPE)
            elif part is None:
                _say(screen, "Ctrl-] and that key mean nothing; " + LEAVE_HINT)
            else:
                put(part)


@contextmanager
def raw_terminal(terminal: int) -> Iterator[None]:
    """Every key goes to the machine, Ctrl-C too. The terminal is as before afterwards, whatever ends it: SIGTERM and
    SIGHUP end it by SystemExit."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = termios.tcgetattr(terminal)
    with handled((signal.SIGTERM, signal.SIGHUP), end):
        try:
            # What was typed already is kept.
            tty.setraw(terminal, termios.TCSADRAIN)
            yield
        finally:
            # With the terminal gone there is nothing to restore.
            with suppress(termios.error):
                termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _say(screen: int, *lines: str) -> None:
    _write(screen, "".join(f"\r\n-- {line} --" for line in lines).encode() + b"\r\n")


def _keys(keyboard: int) -> bytes:
    """What was typed; empty at its end, and when the terminal is gone."""
    try:
        return os.read(keyboard, 4096)
    except OSError:
        return b""


def _write(screen: int, data: bytes) -> None:
    # That the terminal is gone is met where keys are read.
    with suppress(OSError):
        while data:
            data = data[os.write(screen, data) :]
