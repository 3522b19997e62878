"""Bringing the far side onto a node where nothing but a shell is known to be, over a line that may damage anything.

Each line that is typed is short, does no harm when it is damaged and none when it is done twice. What is put on the
node travels as words that mean nothing to a shell, in parts, each with a sum that has to be right.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from time import monotonic

from bootstrap.paths import templates_dir
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.protocol.checksums import posix_cksum
from bootstrap.transport.serial.protocol.encodings import printf_pieces, printf_word
from bootstrap.transport.serial.protocol.messages import Answer, Marks, MessageKind, random_word
from bootstrap.transport.serial.protocol.parser import KERNEL_LINE, Listener

PLACES = ("/run", "/tmp", "/dev/shm")  # noqa: S108  (the folder's name can't be guessed)
FAR_SIDE = ("far.sh", "feed.sh", "listen.sh")
FIRST_WAIT, LONGEST_WAIT = 1.0, 8.0
QUIET = 0.3
"""Seconds without a byte after which a shell has said what it had to say."""
PART = 640
AT_ONCE = 4
"""Parts that are typed before their sums are looked at: together less than a terminal holds (4095 bytes)."""
_SUM = "cksum {0}||md5sum {0}||sha256sum {0}"


class Silent(Exception):
    """Nothing that we understand came from the far side for too long. `tried`: what was waited for."""

    def __init__(self, tried: str) -> None:
        super().__init__(tried)
        self.tried = tried


def far_side() -> bytes:
    """The far side's script, without comments and indentation."""
    folder = templates_dir() / "node" / "serial"
    text = "".join((folder / part).read_text(encoding="utf-8") for part in FAR_SIDE)
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#")).encode()


def install(line: Line, listener: Listener, marks: Marks, name: str, patience: float) -> Answer:
    """Put the far side into a folder `name` of the node and start it; returns its first answer.

    What is there already from an earlier time is taken as it is. `patience`: seconds that may pass without progress.
    Raises Silent, LineLost.
    """
    typist = _Typist(line, listener, patience)
    word = random_word()
    found = typist.until(
        f" unset HISTFILE;stty -echo -ixon 2>/dev/null;for x in {' '.join(PLACES)};do [ -d $x/{name} ]||"
        f'mkdir -m 700 $x/{name} 2>/dev/null;[ -w $x/{name} ]&&echo {word[:6]}""{word[6:]} $x .&&break;done',
        rf"{word} ({'|'.join(PLACES)}) \.",
        "to have the shell on it make a folder",
    )
    folder = f"{found[1].decode()}/{name}"
    code = far_side()
    whole = f"{folder}/far.sh"
    if not typist.all({whole: " " + _SUM.format(whole)}, {whole: code}):
        _put(typist, folder, code, marks)
    return typist.started(f" sh {whole} {folder} 2>/dev/null")


def _put(typist: _Typist, folder: str, code: bytes, marks: Marks) -> None:
    parts = {f"{folder}/p{number:02d}": part for number, part in enumerate(printf_pieces(code, PART))}
    parts[f"{folder}/marks"] = f"{marks.ours} {marks.theirs}\n".encode()
    left = dict(parts)
    while left:
        batch = dict(list(left.items())[:AT_ONCE])
        typed = {
            path: f" printf '{printf_word(part).decode()}'>{path};{_SUM.format(path)}" for path, part in batch.items()
        }
        for path in typist.all(typed, batch):
            del left[path]
    whole = f"{folder}/far.sh"
    typist.until(
        f" cat {folder}/p??>{whole};{_SUM.format(whole)}", _sums(code), "to have the far side put together on it"
    )


def _sums(data: bytes) -> str:
    """A pattern of what cksum(1), md5sum(1) or sha256sum(1) says about the data."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return rf"(?:{posix_cksum(data)} {len(data)}|{md5} |{hashlib.sha256(data).hexdigest()} )"


class _Typist:
    """Types lines at a shell's prompt and looks for what they print."""

    def __init__(self, line: Line, listener: Listener, patience: float) -> None:
        self._line = line
        self._listener = listener
        self._patience = patience
        self._progress = monotonic()
        self._wait = FIRST_WAIT
        self._heard = b""

    def until(self, command: str, pattern: str, tried: str) -> re.Match[bytes]:
        """What matches the pattern, typed again until it comes. Raises Silent after `patience`."""
        wanted = re.compile(pattern.encode())
        while True:
            self._type(command)
            self._listen(lambda: wanted.search(self._heard) is not None)
            if found := wanted.search(self._heard):
                self._went_on()
                return found
            self._clear(tried)

    def all(self, commands: dict[str, str], contents: dict[str, bytes]) -> list[str]:
        """Type these, which print sums of the files they name; returns those that are as they should be."""
        wanted = {path: re.compile((_sums(data) + r" *" + re.escape(path)).encode()) for path, data in contents.items()}
        word = random_word()
        # The last one's output tells that there is nothing more to wait for.
        self._type("\n".join([*commands.values(), f' echo {word[:6]}""{word[6:]}']))
        self._listen(lambda: word.encode() in self._heard)
        good = [path for path, pattern in wanted.items() if pattern.search(self._heard)]
        if good:
            self._went_on()
        else:
            self._clear("to put the far side on it")
        return good

    def started(self, command: str) -> Answer:
        """The first answer of the far side that this command starts."""
        while True:
            self._type(command)
            end = monotonic() + 2 * self._wait
            while (left := end - monotonic()) > 0:
                self._listener.hear(self._line.read(left))
                answer = self._listener.answer()
                if answer and answer.kind == MessageKind.HELLO:
                    return answer
            self._clear("to start the far side on it")

    def _type(self, text: str) -> None:
        self._heard = b""
        self._line.write(text.encode() + b"\n")

    def _listen(self, is_there: Callable[[], bool]) -> bool:
        end = monotonic() + self._wait
        while not is_there():
            left = end - monotonic()
            if left <= 0:
                return False
            data = self._line.read(left)
            self._listener.hear(data)
            self._heard = KERNEL_LINE.sub(b"", self._heard + data)
            if data:
                end = max(end, monotonic() + QUIET)
        return True

    def _went_on(self) -> None:
        self._progress = monotonic()
        self._wait = FIRST_WAIT

    def _clear(self, tried: str) -> None:
        """Nothing came of it: get rid of what is half typed, and have more patience the next time."""
        if monotonic() - self._progress > self._patience:
            raise Silent(tried)
        self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._line.write(b"\x03")
        while data := self._line.read(QUIET):
            self._listener.hear(data)
            if monotonic() - self._progress > self._patience:
                raise Silent(tried)
        self._line.write(b"\n")
