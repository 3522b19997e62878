"""A console is found in any state; a root shell comes of it, or an error that says what was seen."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.transport.serial.errors import ConsoleFailed
from bootstrap.transport.serial.line.descriptor import DescriptorLine, Plain
from bootstrap.transport.serial.shell.expect import Talk
from bootstrap.transport.serial.shell.find import ShellPatience
from bootstrap.transport.serial.shell.root import enter_root_shell, leave_root_shell
from tests.helpers.daemons import wait_for
from tests.integration.console.conftest import target_of
from tests.integration.console.machine import Machine, shows

SOON = ShellPatience(silent=20.0, total=120.0)
SHELL = ("bash", "--norc", "--noprofile", "-i")
TARGET = target_of()


def becomes_root(line: DescriptorLine) -> bool:
    enter_root_shell(line, TARGET, SOON)
    return Talk(line, TARGET).prove("$(id -u)") == "0"


@pytest.fixture
def line(machine: Machine) -> DescriptorLine:
    """The console of a machine on which somebody left a root shell open."""
    machine.runs(SHELL, PS1="left# ")
    line = machine.line(TARGET)
    shows(line, lambda seen: b"left# " in seen)
    return line


def types(line: DescriptorLine, text: str, until: str) -> None:
    """Somebody types, and sees what is awaited."""
    line.write(text.encode())
    shows(line, lambda seen: until.encode() in seen)


def test_a_root_shell_that_is_open_already_is_used_and_left_open(machine: Machine, line: DescriptorLine) -> None:
    assert becomes_root(line)
    leave_root_shell(line, TARGET)
    types(line, "\r", "left# ")
    assert [command for command in machine.processes() if command != " ".join(SHELL)] == []


@pytest.mark.parametrize("prompt", ["", "\033[7m>>> \033[0m", "~ $ \n> ", "Password for no one"])
def test_no_prompt_is_needed_and_none_is_believed(machine: Machine, prompt: str) -> None:
    machine.runs(SHELL, PS1=prompt)
    assert becomes_root(machine.line(TARGET))


def test_a_shell_without_line_editing(machine: Machine) -> None:
    machine.runs(("dash", "-i"), PS1="")
    assert becomes_root(machine.line(TARGET))


def test_a_half_typed_command_is_not_run(line: DescriptorLine, tmp_path: Path) -> None:
    # The cursor is moved into the middle of it.
    types(line, f"touch {tmp_path}/one; touch {tmp_path}/two", "two")
    line.write(b"\x1b[D" * 10)
    assert becomes_root(line)
    assert list(tmp_path.iterdir()) == []


def test_a_quotation_that_was_not_closed(line: DescriptorLine) -> None:
    types(line, 'echo "not\r', "> ")
    assert becomes_root(line)


def test_a_pager(machine: Machine, line: DescriptorLine) -> None:
    types(line, "less /etc/services\r", "services")
    assert becomes_root(line)
    assert not any(command.startswith("less") for command in machine.processes())


def test_an_editor_with_unsaved_changes(line: DescriptorLine, tmp_path: Path) -> None:
    types(line, f"vi {tmp_path}/file\r", "file")
    types(line, "iwords", "words")
    assert becomes_root(line)
    assert not (tmp_path / "file").exists()


def test_another_editor_with_unsaved_changes(line: DescriptorLine, tmp_path: Path) -> None:
    types(line, f"nano {tmp_path}/file\r", "New File")
    types(line, "words", "words")
    assert becomes_root(line)
    assert not (tmp_path / "file").exists()


def test_a_program_in_the_foreground(machine: Machine, line: DescriptorLine) -> None:
    types(line, "sleep 1000\r", "sleep")
    wait_for(lambda: "sleep 1000" in machine.processes(), "the program in the foreground")
    assert becomes_root(line)
    assert "sleep 1000" not in machine.processes()


def test_a_program_that_ignores_ctrl_c(machine: Machine, line: DescriptorLine) -> None:
    types(line, "(trap '' INT; exec sleep 1001)\r", "1001")
    wait_for(lambda: "sleep 1001" in machine.processes(), "the program in the foreground")
    assert becomes_root(line)


def test_a_prompt_of_something_that_is_no_shell(line: DescriptorLine) -> None:
    types(line, "python3\r", ">>> ")
    assert becomes_root(line)


def test_output_stopped_by_ctrl_s(line: DescriptorLine) -> None:
    line.write(b"\x13echo never seen\r")
    assert becomes_root(line)


def test_a_screen_full_of_escape_codes(machine: Machine, line: DescriptorLine) -> None:
    types(line, "printf '\\033[2J\\033[5;5H\\033[1;31m\\033]0;title\\007\\033(0lqqk\\033[?25l\\r'\r", "title")
    assert becomes_root(line)


def test_a_shell_that_came_over_ssh_is_another_machines(machine: Machine, line: DescriptorLine) -> None:
    types(line, "SSH_CONNECTION='192.0.2.1 40000 192.0.2.9 22' PS1='elsewhere# ' bash --norc -i\r", "elsewhere# ")
    assert becomes_root(line)
    assert not any(command == "bash --norc -i" for command in machine.processes())


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Iterator[DescriptorLine]:
    """A line whose other side answers each piece that comes with something."""
    ours, theirs = socket.socketpair()

    def answers() -> None:
        while data := theirs.recv(4096):
            theirs.sendall(answer(data))

    thread = threading.Thread(target=answers)
    thread.start()
    line = DescriptorLine("node1", TARGET.described, (ours.fileno(), ours.fileno()), Plain(ours.close))
    try:
        yield line
    finally:
        line.close()
        thread.join()
        theirs.close()


def failure(line: DescriptorLine, patience: ShellPatience) -> str:
    with pytest.raises(ConsoleFailed) as raised:
        enter_root_shell(line, TARGET, patience)
    return str(raised.value)


def test_a_line_that_says_nothing_is_named_with_its_speed_within_the_time_out() -> None:
    with answering(lambda _: b"") as line:
        said = failure(line, ShellPatience(silent=3.0, total=60.0))
    assert "node1: console: nothing came over its console for 3 s" in said
    assert "a shell on /dev/ttyS9 at 115200" in said
    assert "not one readable byte" in said
    assert "console.baud" in said


def test_a_line_that_fell_silent_is_named_with_what_it_said_last() -> None:
    with answering(lambda data: b"Kernel panic - not syncing: no root\r\n" if b"\x03" in data else b"") as line:
        line.write(b"\x03")
        shows(line, lambda seen: b"root" in seen)
        line.write(b"\x03")
        with pytest.raises(ConsoleFailed, match="Kernel panic - not syncing"):
            enter_root_shell(line, TARGET, ShellPatience(silent=60.0, total=10.0))


def test_garbage_is_taken_for_a_wrong_speed() -> None:
    with answering(lambda data: bytes(0x80 | byte for byte in data) * 8) as line:
        said = failure(line, SOON)
    assert "what comes over its console is garbage" in said
    assert "the other side has another speed than 115200" in said


def test_a_boot_loader_that_waits_for_commands_is_named() -> None:
    with answering(lambda data: b"\r\n=> " if data.endswith(b"\r") else b"") as line:
        said = failure(line, ShellPatience(silent=20.0, total=15.0))
    assert "a boot loader waits for commands" in said
    assert "clusterup console" in said
