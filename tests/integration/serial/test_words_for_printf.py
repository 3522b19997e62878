"""What a shell's own printf makes of the words that a console carries."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.transport.serial.protocol.encodings import printf_word


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]], ids=lambda argv: argv[0])
@given(data=st.binary(max_size=200))
@settings(max_examples=25, deadline=None)
def test_printf_of_every_shell_reads_a_word(shell: list[str], data: bytes) -> None:
    script = 'IFS= read -r word; printf "$word"'
    ran = subprocess.run([*shell, "-c", script], input=printf_word(data) + b"\n", capture_output=True, check=True)
    assert ran.stdout == data
