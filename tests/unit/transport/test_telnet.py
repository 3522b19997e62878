"""Telnet between two sides, whatever the bytes and wherever they are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bootstrap.transport.serial.line.telnet import BINARY, DO, DONT, ECHO, IAC, SB, SE, WILL, WONT, Telnet


def in_pieces(telnet: Telnet, data: bytes, cuts: list[int]) -> bytes:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return b"".join(telnet.received(data[start:end]) for start, end in pairwise(places))


def binary() -> Telnet:
    telnet = Telnet()
    telnet.received(bytes((IAC, WILL, BINARY, IAC, DO, BINARY)))
    return telnet


@given(st.binary(), st.lists(st.integers(min_value=0), max_size=5))
def test_in_binary_mode_every_byte_comes_out_as_it_went_in(data: bytes, cuts: list[int]) -> None:
    assert in_pieces(binary(), binary().sent(data), cuts) == data


@given(
    st.binary().map(lambda data: data.replace(b"\0", b"").replace(b"\n", b"")),
    st.lists(st.integers(min_value=0), max_size=5),
)
def test_outside_of_it_so_does_every_line_of_text(data: bytes, cuts: list[int]) -> None:
    assert in_pieces(Telnet(), Telnet().sent(data), cuts) == data


@given(st.binary())
def test_nothing_that_comes_is_an_error(data: bytes) -> None:
    telnet = Telnet()
    telnet.received(data)
    assert len(telnet.replies) % 3 == 0


def test_what_is_of_no_use_is_refused_once() -> None:
    telnet = Telnet()
    for _ in range(2):
        assert telnet.received(bytes((IAC, DO, 24, IAC, WILL, 34, IAC, WILL, ECHO))) == b""
    assert bytes(telnet.replies) == bytes((IAC, WONT, 24, IAC, DONT, 34, IAC, DO, ECHO))


def test_an_answer_to_what_was_asked_is_not_answered() -> None:
    telnet = Telnet()
    telnet.ask(WILL, BINARY)
    telnet.replies.clear()
    telnet.received(bytes((IAC, DO, BINARY)))
    assert bytes(telnet.replies) == b""
    assert telnet.ours == {BINARY: True}


def test_what_stands_between_sb_and_se_is_handed_on() -> None:
    told: list[tuple[int, bytes]] = []
    telnet = Telnet(lambda option, value: told.append((option, value)))
    assert telnet.received(b"a" + bytes((IAC, SB, 44, 101, IAC, IAC, IAC, SE)) + b"b") == b"ab"
    assert told == [(44, b"\x65\xff")]
