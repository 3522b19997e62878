"""Every way to a console carries every byte both ways, and fails in words a person can act on."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bootstrap.errors import BadUse
from bootstrap.inventory.serial_target import ConsoleTarget, Flow, Parity
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.errors import ConsoleFailed, LineInUse
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.line.device import lock_file_holder
from bootstrap.transport.serial.line.lock import is_claimed
from bootstrap.transport.serial.line.open import open_line
from tests.helpers.daemons import free_ports, wait_for
from tests.integration.console.servers import (
    DO,
    DONT,
    TERMINAL_TYPE,
    WILL,
    WINDOW_SIZE,
    WONT,
    Rfc2217Server,
    TelnetServer,
    a_terminal,
    echoing,
    serving,
)

EVERY_BYTE = bytes(range(256)) * 40 + b"\r\n\r\r\n\xff\xff\xff\r\0"
Open = Callable[..., Line]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "clusterup"


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens lines that are closed at the end of the test."""
    with ExitStack() as stack:

        def opens(url: str, **more: object) -> Line:
            line = open_line(ConsoleTarget("node1", url, **more), timeout=10.0)  # type: ignore[arg-type]
            stack.callback(line.close)
            return line

        yield opens


def comes(line: Line, size: int) -> bytes:
    """The next bytes of a line."""
    got = b""

    def enough() -> bool:
        nonlocal got
        got += line.read(0.1)
        return len(got) >= size

    wait_for(enough, f"{size} bytes")
    return got


def comes_back(line: Line, data: bytes = EVERY_BYTE) -> bytes:
    """What a line with an echo at its end gives back for `data`, which is sent while it is read."""
    thread = threading.Thread(target=line.write, args=(data,))
    thread.start()
    got = comes(line, len(data))
    thread.join()
    return got


def failure(url: str, **more: object) -> str:
    with pytest.raises(ConsoleFailed) as raised:
        open_line(ConsoleTarget("node1", url, **more), timeout=5.0)  # type: ignore[arg-type]
    assert raised.value.node == "node1"
    assert raised.value.step == "console"
    return str(raised.value)


def test_a_device_carries_every_byte_with_its_settings(opened: Open) -> None:
    with a_terminal() as (machine, path):
        line = opened(str(path), baud=9600, parity=Parity.EVEN, stop_bits=2, flow=Flow.XONXOFF)
        assert line.described == f"{path} at 9600"
        line.write(b"to the machine \xff\0")
        assert os.read(machine, 100) == b"to the machine \xff\0"
        os.write(machine, b"\xff\0 from it")
        assert comes(line, 10) == b"\xff\0 from it"
        flags = termios.tcgetattr(machine)
        assert flags[0] & termios.IXON
        assert flags[2] & termios.CSTOPB
        assert flags[4] == termios.B9600
        line.send_break()
        line.close()


def test_a_silent_line_gives_nothing_in_its_time(opened: Open) -> None:
    with a_terminal() as (_, path):
        line = opened(str(path))
        assert line.read(0.05) == b""
        line.close()


def test_a_device_that_is_not_there() -> None:
    said = failure("/dev/ttyUSB7")
    assert "there is no device /dev/ttyUSB7" in said
    assert "open /dev/ttyUSB7 at 115200" in said
    assert "/dev/serial/by-id" in said


def test_a_file_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file is not a serial device" in failure(f"{tmp_path}/file")


def test_a_device_that_may_not_be_opened_names_the_group() -> None:
    with a_terminal() as (_, path):
        path.chmod(0o600)
        said = subprocess.run(
            [sys.executable, "-c", OPEN_AS_NOBODY, str(path)], check=True, capture_output=True, text=True
        )
    assert f"you may not open {path}" in said.stdout
    assert "Permission denied" in said.stdout
    assert "add yourself to group" in said.stdout


OPEN_AS_NOBODY = """\
import os, sys, serial
from bootstrap.errors import ClusterupError
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.transport.serial.line.device import open_device
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
try:
    open_device(ConsoleTarget("node1", sys.argv[1]))
except ClusterupError as error:
    print(error)
"""


def test_a_device_that_another_program_holds_names_it(opened: Open) -> None:
    with a_terminal() as (_, path):
        hold = (
            "import fcntl, sys; d = open(sys.argv[1], 'rb'); fcntl.flock(d, fcntl.LOCK_EX); print(flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout
            other.stdout.readline()
            said = failure(str(path))
            other.communicate(b"\n")
        assert f"{path} is in use by another program" in said
        assert f"process {other.pid} (python" in said


def test_the_lock_file_of_a_terminal_program_names_it_while_it_lives(tmp_path: Path) -> None:
    (tmp_path / "LCK..ttyUSB0").write_text(f"      {os.getpid()}\n")
    holder = lock_file_holder(Path("/dev/ttyUSB0"), (tmp_path,))
    assert holder is not None
    assert f"process {os.getpid()} (" in holder
    (tmp_path / "LCK..ttyUSB0").write_text("99999999\n")
    assert lock_file_holder(Path("/dev/ttyUSB0"), (tmp_path,)) is None


def test_a_device_that_is_unplugged_ends_the_line(opened: Open) -> None:
    with a_terminal() as (_, path):
        line = opened(str(path))
    with pytest.raises(LineLost, match=f"{path} is gone: the adapter was unplugged"):
        line.read(5.0)


def test_a_tcp_socket_carries_every_byte(opened: Open) -> None:
    with serving(echoing) as port:
        line = opened(f"socket://127.0.0.1:{port}")
        assert comes_back(line) == EVERY_BYTE
        line.send_break()
        line.close()


def test_a_port_where_no_one_listens() -> None:
    [port] = free_ports(1)
    said = failure(f"socket://127.0.0.1:{port}")
    assert f"127.0.0.1 is there, but nothing listens on port {port}" in said
    assert "connection refused" in said


def test_a_host_that_has_no_name() -> None:
    assert "the name console.invalid is not known" in failure("telnet://console.invalid")


def test_a_connection_that_the_console_server_closes_ends_the_line(opened: Open) -> None:
    with serving(lambda connection: connection.sendall(b"bye")) as port:
        line = opened(f"socket://127.0.0.1:{port}")
        assert comes(line, 3) == b"bye"
        with pytest.raises(LineLost, match="the console server closed the connection"):
            line.read(5.0)


def test_telnet_carries_every_byte_and_refuses_what_it_has_no_use_for(opened: Open) -> None:
    server = TelnetServer()
    with serving(server) as port:
        line = opened(f"telnet://127.0.0.1:{port}")
        assert comes_back(line) == EVERY_BYTE
        assert server.received == EVERY_BYTE
        line.send_break()
        assert comes(line, 5) == b"break"
        line.close()
    assert server.breaks == 1
    assert {(WONT, TERMINAL_TYPE), (WONT, WINDOW_SIZE), (DO, 0), (WILL, 0)} <= set(server.told)
    assert (DONT, 1) not in server.told
    assert len(server.told) == len(set(server.told))


def test_telnet_to_a_server_that_negotiates_nothing(opened: Open) -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(12, socket.MSG_WAITALL)
        connection.sendall(b"login: ")
        while data := connection.recv(100):
            connection.sendall(data)

    with serving(plain) as port:
        line = opened(f"telnet://127.0.0.1:{port}")
        assert comes(line, 7) == b"login: "
        # Outside of binary mode a return alone goes as two bytes, and comes back as one.
        assert comes_back(line, b"root\r") == b"root\r"
        line.close()


def test_rfc2217_carries_every_byte_and_sets_the_port(opened: Open) -> None:
    with a_terminal() as (machine, path):
        server = Rfc2217Server(path)
        with serving(server) as port:
            url = f"rfc2217://127.0.0.1:{port}"
            line = opened(url, baud=57600, data_bits=7, parity=Parity.EVEN, stop_bits=2, flow=Flow.XONXOFF)
            assert line.described == f"rfc2217://127.0.0.1:{port} at 57600"
            line.write(b"to \xff\r\0\n")
            assert os.read(machine, 100) == b"to \xff\r\0\n"
            os.write(machine, b"\xff\xff\r\0 from")
            assert comes(line, 9) == b"\xff\xff\r\0 from"
            line.send_break()
            wait_for(lambda: server.breaks == [True, False], "the break condition, on and off")
            line.close()
    assert server.settings == (57600, 7, "E", 2, False, True)


def test_rfc2217_to_a_server_that_speaks_only_telnet() -> None:
    with serving(TelnetServer()) as port:
        said = failure(f"rfc2217://127.0.0.1:{port}")
    assert "does not speak RFC 2217" in said
    assert "telnet://" in said


def test_a_unix_socket_carries_every_byte_however_long_its_path(opened: Open, tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 40)
    folder.mkdir()
    with subprocess.Popen(["socat", "UNIX-LISTEN:console.sock", "EXEC:cat"], cwd=folder) as qemu:
        wait_for((folder / "console.sock").exists, "the socket")
        line = opened(f"unix:{folder}/console.sock")
        assert comes_back(line) == EVERY_BYTE
        line.close()
        qemu.wait(20)


def test_a_unix_socket_that_is_not_there_or_that_no_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "console.sock"
    assert f"there is no socket {path}" in failure(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    assert f"no one listens at {path}" in failure(f"unix:{path}")


@pytest.mark.parametrize("scheme", ["command", "pipe"])
def test_a_program_carries_every_byte(opened: Open, scheme: str) -> None:
    line = opened(f"{scheme}: cat")
    assert comes_back(line) == EVERY_BYTE
    line.send_break()


def test_a_program_has_a_terminal_of_its_own_where_it_wants_one(opened: Open) -> None:
    show = "import sys; print(sys.stdin.isatty(), open('/dev/tty').isatty(), flush=True); input()"
    line = opened(f'command: {sys.executable} -c "{show}"')
    assert comes(line, 9).split() == [b"True", b"True"]


def test_a_program_and_what_it_started_end_with_the_line(opened: Open) -> None:
    line = opened("command: sh -c 'sleep 1002 & echo $!; wait'")
    child = int(comes(line, 2).split()[0])
    line.close()
    wait_for(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes(), "")


@pytest.mark.parametrize("scheme", ["command", "pipe"])
def test_a_program_ends_when_it_is_asked_to_though_clusterup_outlives_a_hang_up(
    opened: Open, scheme: str, tmp_path: Path
) -> None:
    says = "trap 'echo asked >asked; exit' HUP; echo ready; sleep 1000 & wait"
    (tmp_path / "says").write_text(f"cd {shlex.quote(str(tmp_path))}; {says}")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        line = opened(f"{scheme}: sh {shlex.quote(str(tmp_path / 'says'))}")
        comes(line, 6)
        line.close()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_a_program_that_does_not_exist() -> None:
    said = failure("command: ipmitoool sol activate")
    assert "there is no program ipmitoool" in said
    assert "command not found" in said


def test_a_program_that_ends_at_once_is_quoted() -> None:
    said = failure("command: sh -c 'echo Error: no response from BMC >&2; exit 3'")
    assert "sh ended at once" in said
    assert "it ended with status 3, having said: Error: no response from BMC" in said


@pytest.mark.parametrize("scheme", ["command", "pipe"])
def test_a_program_that_ends_later_ends_the_line_with_its_last_words(opened: Open, scheme: str) -> None:
    line = opened(f"{scheme}: sh -c 'read line; echo SOL session closed by BMC; exit 1'")
    line.write(b"\n")
    with pytest.raises(LineLost, match="it ended with status 1, having said: SOL session closed by BMC"):
        comes(line, 1000)


def test_what_names_no_console_is_bad_use() -> None:
    with pytest.raises(BadUse, match="'ttyUSB0' names no console"):
        open_line(ConsoleTarget("node1", "ttyUSB0"))


def test_a_second_clusterup_is_told_about_the_first_and_what_it_reads(opened: Open, tmp_path: Path) -> None:
    log = tmp_path / "node1.log"
    target = ConsoleTarget("node1", "command: cat", log=log)
    first = open_line(target, "apply of three")
    assert is_claimed(target)
    with pytest.raises(LineInUse) as raised:
        open_line(target)
    assert "its console is in use by another clusterup" in str(raised.value)
    assert f"(process {os.getpid()}) since " in str(raised.value)
    assert ": apply of three" in str(raised.value)
    assert raised.value.log == log
    first.write(b"words\n")
    comes(first, 6)
    assert log.read_text() == "words\n"
    assert log.stat().st_mode & 0o777 == 0o600
    first.close()
    assert not is_claimed(target)
    opened("command: cat")


def test_a_line_that_could_not_be_opened_is_not_held(tmp_path: Path) -> None:
    target = ConsoleTarget("node1", f"unix:{tmp_path}/none")
    failure(target.url)
    assert not is_claimed(target)
