"""What a console said is kept, bounded, without secrets."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bootstrap.transport.serial.line.log import ConsoleLog, LoggedLine, rotated, tail_of
from bootstrap.transport.serial.text import is_garbage, last_words


class Recorded:
    """A line that says what it was given, piece by piece."""

    described = "a line"

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)

    def read(self, seconds: float) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def write(self, data: bytes) -> None: ...

    def send_break(self) -> None: ...

    def close(self) -> None: ...


def kept(path: Path, pieces: Sequence[bytes], secret: bytes = b"") -> bytes:
    line = LoggedLine(Recorded(pieces), ConsoleLog(path))
    line.hide(secret)
    for piece in pieces:
        assert line.read(0) == piece
    line.close()
    return path.read_bytes()


def test_a_log_is_for_its_owner_alone_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "made" / "node.log"
    log = ConsoleLog(path, limit=100)
    for number in range(100):
        log.write(b"line %d of many\r\n" % number)
    log.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_size + rotated(path).stat().st_size < 250
    assert tail_of(path, 3) == "line 97 of many\nline 98 of many\nline 99 of many"


def test_the_tail_reaches_into_the_older_half(tmp_path: Path) -> None:
    rotated(tmp_path / "log").write_text("one\r\ntwo\r\n")
    (tmp_path / "log").write_text("\x1b[1;31mthree\x1b[0m\r\n")
    assert tail_of(tmp_path / "log", 2) == "two\nthree"
    assert tail_of(tmp_path / "none", 2) == ""


@given(st.lists(st.sampled_from([b"hunter2", b"hunt", b"er2", b"h", b"2", b"words "]), min_size=1, max_size=12))
def test_a_secret_is_not_kept_however_it_is_cut(pieces: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = kept(Path(folder) / "log", pieces, b"hunter2")
    assert found == b"".join(pieces).replace(b"hunter2", b"[hidden]")


def test_a_disk_without_room_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    line = LoggedLine(Recorded([b"words"]), ConsoleLog(tmp_path / "log"))
    assert line.read(0) == b"words"
    line.close()


def test_the_last_words_are_readable() -> None:
    said = b"\x1b[2J\x1b[1;1Hone\r\n\r\n\x1b[0;32m[  OK  ]\x1b[0m two \r\nvm login: "
    assert last_words(said, 2) == "[  OK  ] two\nvm login:"
    assert last_words(b"x" * 1000, 1, width=10) == "..." + "x" * 10


def test_garbage_is_told_from_text() -> None:
    assert is_garbage(bytes(range(128, 256)))
    assert is_garbage(bytes(100))
    assert not is_garbage("Grüße, здравствуйте, 你好。 Anmeldung für root: ".encode())
    assert not is_garbage(b"\x1b[2J\x1b[10;20H\x1b[7m" * 10 + bytes(200) + b"a pager with padding for a VT100")
    assert not is_garbage(b"\xff\xfe")
