"""Whatever bytes go in, and whatever noise is around them: the same bytes come out."""

from __future__ import annotations

import base64
import subprocess
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.transport.serial.protocol.checksums import md5sum, posix_cksum, sha256sum
from bootstrap.transport.serial.protocol.encodings import (
    NOTHING,
    Encoding,
    decoded_output,
    encoded,
    output_length,
    printf_pieces,
    printf_word,
)
from bootstrap.transport.serial.protocol.messages import Answer, MessageKind, Op, check_of, parsed_answer, request_line
from bootstrap.transport.serial.protocol.parser import Listener

MARK = "xq7f3k2m9abc"
NOISE = st.binary(max_size=80).filter(lambda noise: MARK.encode() not in noise)
NUMBERS = st.tuples(*[st.integers(0, 2**60 - 1)] * 6)
KERNEL = st.builds(
    lambda stamp, text: f"[{stamp:12.6f}] {text}\r\n".encode(),
    st.floats(0, 99999),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60),
)


def line_of(answer: Answer) -> bytes:
    """The line in which the far side says it."""
    fields = (answer.request, answer.kind, answer.sequence, *answer.numbers)
    return f"\n{MARK} {' '.join(map(str, fields))} {check_of(fields)}\n".encode()


def with_text(outputs: tuple[bytes, bytes]) -> tuple[Answer, bytes]:
    """A result with these outputs, and all that the far side sends for it."""
    numbers = (0, len(outputs[0]), posix_cksum(outputs[0]), len(outputs[1]), posix_cksum(outputs[1]), 1)
    result, end = Answer(7, MessageKind.RESULT, 3, numbers), Answer(7, MessageKind.END, 3, (0,) * 6)
    text = b"".join(base64.encodebytes(output) for output in outputs)
    return result, line_of(result) + text + line_of(end)


def length_of(answer: Answer) -> int:
    return sum(output_length(answer.numbers[at], hexadecimal=False) for at in (1, 3))


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut up as a line may deliver it."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def heard(data: bytes, cuts: list[int]) -> list[Answer]:
    """The answers that a listener finds in it."""
    listener = Listener(MARK, length_of)
    found = []
    for piece in pieces_of(data, cuts):
        listener.hear(piece)
        while answer := listener.answer():
            found.append(answer)
    return found


@given(numbers=NUMBERS, before=NOISE, after=NOISE, cuts=st.lists(st.integers(0), max_size=6))
def test_an_answer_is_found_in_noise(numbers: tuple[int, ...], before: bytes, after: bytes, cuts: list[int]) -> None:
    answer = Answer(9, MessageKind.STATE, 4, numbers)
    # A kernel's line that has no end takes with it what stands on it; it would be asked for again.
    assert heard(before.replace(b"[", b"") + line_of(answer) + after, cuts) == [answer]


@given(
    outputs=st.tuples(st.binary(max_size=300), st.binary(max_size=300)),
    kernel=st.lists(st.tuples(st.integers(0), KERNEL), max_size=5),
    cuts=st.lists(st.integers(0), max_size=6),
)
def test_outputs_survive_what_a_kernel_prints_into_them(
    outputs: tuple[bytes, bytes], kernel: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    result, wire = with_text(outputs)
    # Each line of a kernel is whole; where it begins is anybody's guess.
    for place, line in sorted(((place % (len(wire) + 1), line) for place, line in kernel), reverse=True):
        wire = wire[:place] + line + wire[place:]
    (found,) = heard(wire, [])
    assert found.numbers == result.numbers
    sizes = (len(outputs[0]), len(outputs[1]))
    assert decoded_output(found.data, sizes, hexadecimal=False) == list(outputs)
    assert len(heard(wire, cuts)) == 1


@given(numbers=NUMBERS, place=st.integers(0), bit=st.integers(0, 7), kind=st.sampled_from(["flip", "drop", "double"]))
def test_a_damaged_answer_is_no_answer(numbers: tuple[int, ...], place: int, bit: int, kind: str) -> None:
    answer = Answer(9, MessageKind.STATE, 4, numbers)
    line = line_of(answer)[len(MARK) + 1 : -1]
    at = place % len(line)
    middle = {"flip": bytes([line[at] ^ 1 << bit]), "drop": b"", "double": line[at : at + 1] * 2}[kind]
    found = parsed_answer(line[:at] + middle + line[at + 1 :])
    assert found is None or found == answer


@given(st.binary(max_size=3000))
def test_every_encoding_gives_back_what_went_in(data: bytes) -> None:
    assert encoded(data, Encoding.RAW).wire == data
    assert base64.b64decode(encoded(data, Encoding.BASE64).wire) == data
    octal = encoded(data, Encoding.COUNTED)
    assert octal.wire.count(b"\n") == octal.count
    assert encoded(data, Encoding.OCTAL).wire == octal.wire
    assert b"".join(printf_pieces(data, 100)) == data


@given(st.binary(max_size=400))
def test_a_word_for_printf_means_nothing_to_a_shell(data: bytes) -> None:
    word = printf_word(data)
    assert word == NOTHING or not set(word) & set(b" \t\n;&|<>()$`'\"*?[]#~=%!{}-")


@given(data=st.binary(max_size=400))
@settings(max_examples=25, deadline=None)
def test_sums_are_those_of_the_programs(data: bytes) -> None:
    def said(program: str) -> str:
        return subprocess.run([program], input=data, capture_output=True, check=True).stdout.decode().split()[0]

    assert posix_cksum(data) == int(said("cksum"))
    assert md5sum(data) == int(said("md5sum")[:15], 16)
    assert sha256sum(data) == int(said("sha256sum")[:15], 16)


@given(outputs=st.tuples(st.binary(max_size=300), st.binary(max_size=300)), cut=st.integers(1, 400))
def test_text_that_is_too_short_gives_nothing(outputs: tuple[bytes, bytes], cut: int) -> None:
    sizes = (len(outputs[0]), len(outputs[1]))
    for hexadecimal in (False, True):
        text = b"".join(o.hex().encode() if hexadecimal else base64.b64encode(o) for o in outputs)
        assert decoded_output(text, sizes, hexadecimal=hexadecimal) == list(outputs)
        if text:
            assert decoded_output(text[: -min(cut, len(text))], sizes, hexadecimal=hexadecimal) is None


def test_a_request_is_one_line_of_its_own() -> None:
    line = request_line(MARK, (5, Op.EXECUTE, 2), (60, 4), b"true %s")
    fields = (5, 2, 2, 60, 4, 0, 0, 0, 0)
    assert line == f"\n{MARK} 5 2 2 60 4 0 0 0 0 {check_of(fields)} true %s\n".encode()
