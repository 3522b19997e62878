"""Text from outside on its way to a terminal, and JSON from outside on its way into the program."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import unicodedata
from typing import TextIO, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import ClusterupError, ErrorGroup
from bootstrap.outside import (
    LONGEST_SHOWN,
    SafeStream,
    below,
    guard_streams,
    in_lines,
    on_one_line,
    parsed_json,
    unguarded,
)
from tests.helpers.node_agent import agent

CLIPBOARD = "\x1b]52;c;cm0gLXJmIC8=\x07"
EVERYTHING = "".join(
    map(chr, [*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10000), *range(0xE0000, 0xE0200)])
)
anything = st.text(st.characters(exclude_categories=()))


def acts(letter: str) -> bool:
    """Whether a terminal does something else with it than to draw it, or draws nothing."""
    return letter != " " and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")


@given(anything)
def test_no_text_on_one_line_makes_a_terminal_do_anything(text: str) -> None:
    assert not [letter for letter in on_one_line(text) if acts(letter)]


@given(anything)
def test_of_text_in_lines_only_the_lines_are_left(text: str) -> None:
    assert {letter for letter in in_lines(text) if acts(letter)} <= {"\n"}


def test_every_letter_that_acts_is_shown_as_an_escape_and_every_other_one_as_it_is() -> None:
    shown = {letter: on_one_line(letter) for letter in EVERYTHING}
    assert not [letter for letter, text in shown.items() if acts(letter) and not text.startswith("\\")]
    assert on_one_line("漢字 😀") == "漢字 😀"
    assert all(shown[letter] == letter for letter in "aZ09 ~äößñЯש✓é")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (CLIPBOARD, r"\x1b]52;c;cm0gLXJmIC8=\x07"),
        ("\x9b2J\x9d52;c;x\x9c\x85", r"\x9b2J\x9d52;c;x\x9c\x85"),
        ("a\x7fb\x00c\rd", r"a\x7fb\x00c\rd"),
        ("user\u202egnp.exe\u2066\u2069\u061c\u200e\u200f", r"user\u202egnp.exe\u2066\u2069\u061c\u200e\u200f"),
        ("one\u2028two\u2029three", r"one\u2028two\u2029three"),
        ("pay\u200bpal\ufeff\u00ad\u3164\u2800\ufe0f", r"pay\u200bpal\ufeff\xad\u3164\u2800\ufe0f"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
    ids=["7 bits", "8 bits", "C0", "turned around", "lines", "unseen", "surrogates", "tags"],
)
def test_what_drives_or_deceives_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert on_one_line(text) == shown
    assert in_lines(text) == shown


def test_lines_stay_where_lines_are_expected_and_tabs_are_room() -> None:
    assert in_lines("one\r\ntwo\n\tthree\x0cfour") == "one\ntwo\n        three\\x0cfour"
    assert on_one_line("one\ntwo\t") == r"one\ntwo\t"


@given(anything)
def test_what_was_made_safe_stays_as_it_is(text: str) -> None:
    assert on_one_line(on_one_line(text)) == on_one_line(text)
    assert in_lines(in_lines(text)) == in_lines(text)


def test_no_line_of_foreign_text_looks_like_one_of_ours() -> None:
    error = ClusterupError("no\n  next: a", node="s1", tried="b\n  next: c", got="d\n  next: e", hint="look there")
    lines = str(error).split("\n")
    assert [line for line in lines if line.startswith("  next")] == ["  next: look there"]
    assert lines[0] == "s1: no"


def test_an_error_is_safe_in_every_part_and_in_every_company() -> None:
    evil = ClusterupError(*[CLIPBOARD], hint=CLIPBOARD, node=CLIPBOARD, step=CLIPBOARD, tried=CLIPBOARD, got=CLIPBOARD)
    for text in (str(evil), str(ErrorGroup([evil, evil]))):
        assert {letter for letter in text if acts(letter)} == {"\n"}
    assert evil.got == CLIPBOARD


def test_more_text_than_anybody_reads_is_cut_and_said_to_be() -> None:
    shown = below("  got: ", "x" * (LONGEST_SHOWN + 70000))
    assert len(shown) < LONGEST_SHOWN + 100
    assert shown.endswith("... (70000 characters more)")


def test_a_guarded_stream_lets_nothing_through_whoever_writes() -> None:
    inner = io.StringIO()
    stream = SafeStream(inner)
    assert stream.write(CLIPBOARD) == len(CLIPBOARD)
    stream.writelines(["\x9b2J", "\n"])
    print("\u202e", file=stream, end="")
    assert inner.getvalue() == r"\x1b]52;c;cm0gLXJmIC8=\x07\x9b2J" + "\n" + r"\u202e"


def test_nothing_goes_around_a_guarded_stream_as_bytes() -> None:
    stream = SafeStream(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert not hasattr(stream, "buffer")
    with pytest.raises(TypeError):
        stream.write(b"\x1b")  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminal_s_encoding_does_not_have_is_shown_as_an_escape(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", None)
    guard_streams()
    guard_streams()
    assert isinstance(sys.stdout, SafeStream)
    assert not isinstance(unguarded(cast(TextIO, sys.stdout)), SafeStream)
    print("漢 \udcff", flush=True)
    assert written.getvalue().decode(encoding) == ("漢" if encoding == "utf-8" else r"\u6f22") + " \\udcff\n"


@given(anything)
def test_json_and_yaml_that_we_write_hold_nothing_that_drives_a_terminal(text: str) -> None:
    for written in (json.dumps({text: text}), yaml.safe_dump({"a": text}, sort_keys=False, width=120)):
        assert {letter for letter in written if acts(letter)} <= {"\n"}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "{", "9" * 10_000, b"\xff"])
def test_json_that_is_none_or_too_deep_is_an_error_of_one_kind(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parsed_json(text)


def test_what_the_agent_says_of_a_command_line_is_safe() -> None:
    done = subprocess.run(
        agent("join", CLIPBOARD, "--token", "abcdef.0123456789abcdef", "--ca-cert-hash", "\x9b2J"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert not [letter for letter in done.stdout + done.stderr if acts(letter) and letter != "\n"]
    assert r"\x1b]52" in done.stderr
