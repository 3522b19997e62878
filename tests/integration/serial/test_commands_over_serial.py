"""What a command gives back over a console, from shells that differ in what they are and have."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import pytest

from bootstrap.transport.base import Command
from bootstrap.transport.errors import CommandFailed, CommandTimeout, TransportError
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.transport import SerialTransport
from tests.helpers.daemons import wait_for
from tests.helpers.wires.faulty_wire import FaultyWire

EVERY_BYTE = bytes(range(256))
ALWAYS = ("sh", "cat", "mkdir", "rm", "sleep", "wc")


@dataclass(frozen=True)
class System:
    """A shell and the programs in its PATH besides those that it always needs."""

    argv: Sequence[str]
    programs: Sequence[str]


SYSTEMS = {
    "dash, everything": System(["dash", "-i"], ["*"]),
    "bash, everything": System(["bash", "--norc", "-i"], ["*"]),
    "busybox, everything": System(["busybox", "sh", "-i"], ["busybox"]),
    "no base64": System(["dash", "-i"], ["stty", "cksum", "od", "dd", "gzip", "mkfifo", "timeout", "tr"]),
    "no cksum": System(["dash", "-i"], ["stty", "sha256sum", "base64", "dd", "zstd", "mkfifo", "timeout"]),
    "md5sum only": System(["dash", "-i"], ["stty", "md5sum", "base64", "head", "tail", "gzip", "mkfifo", "timeout"]),
    "no mkfifo and no timeout": System(["dash", "-i"], ["stty", "cksum", "base64", "dd"]),
    "no dd, no head, no base64": System(["dash", "-i"], ["stty", "cksum", "od", "tail", "mkfifo"]),
    "no stty": System(["dash", "-i"], ["cksum", "base64", "dd", "head", "gzip", "mkfifo", "timeout"]),
    "nothing that unpacks": System(["dash", "-i"], ["stty", "cksum", "base64", "dd", "mkfifo", "tr"]),
}


def path_with(folder: Path, programs: Sequence[str]) -> str:
    """A PATH with these programs and the few that are always there; all of this machine's with "*"."""
    folder.mkdir()
    if programs == ["busybox"]:
        busybox = shutil.which("busybox")
        assert busybox is not None, "busybox is to be installed"
        for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            (folder / name).symlink_to(busybox)
        return str(folder)
    for name in (*ALWAYS, *programs):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin" if programs == ["*"] else str(folder)


@pytest.fixture(params=list(SYSTEMS.values()), ids=list(SYSTEMS))
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SerialTransport]:
    """A way into each of the systems."""
    system: System = request.param
    env = {"PATH": path_with(tmp_path / "bin", system.programs)}
    argv = [shutil.which(system.argv[0]) or system.argv[0], *system.argv[1:]]
    with FaultyWire(argv, env=env) as wire:
        way = SerialTransport("s1", wire.plug, patience=20)
        yield way
        way.close()


@pytest.fixture
def wire() -> Iterator[FaultyWire]:
    with FaultyWire() as wire:
        yield wire


@pytest.fixture
def way(wire: FaultyWire) -> Iterator[SerialTransport]:
    way = SerialTransport("s1", wire.plug, patience=20)
    yield way
    way.close()


def test_outputs_are_exact_and_apart(anywhere: SerialTransport) -> None:
    result = anywhere.run(Command("both", "cat; printf 'a\\000b' >&2; exit 200"), stdin=EVERY_BYTE)
    assert (result.status, result.stdout, result.stderr) == (200, EVERY_BYTE, b"a\0b")


def test_large_inputs_and_outputs_are_exact(anywhere: SerialTransport) -> None:
    data = EVERY_BYTE * 60
    result = anywhere.run(Command("copy", "cat"), stdin=data)
    assert (result.status, result.stdout) == (0, data)


def test_a_long_script_is_run(anywhere: SerialTransport) -> None:
    script = "\n".join(f"v{number}='$ \\ % \" {number}'" for number in range(400)) + '\necho "$v399"'
    assert anywhere.check(Command("long", script)).stdout == b'$ \\ % " 399\n'


def test_a_stream_arrives_as_it_was(anywhere: SerialTransport, tmp_path: Path) -> None:
    chunks = [EVERY_BYTE * 40, b"text\n\n\nrm -rf nothing\n" * 500, b"", b"end"]
    told: list[tuple[int, int]] = []
    total = sum(map(len, chunks))
    anywhere.stream(
        Command.of("keep", "cat >{}", str(tmp_path / "kept")),
        iter(chunks),
        total=total,
        progress=lambda done, of: told.append((done, of)),
    )
    assert (tmp_path / "kept").read_bytes() == b"".join(chunks)
    assert told[-1] == (total, total)


def test_a_command_that_takes_too_long_is_ended_on_the_node(anywhere: SerialTransport, tmp_path: Path) -> None:
    script = Command.of("slow", "echo begun >&2; exec 3>{0}; echo $$ >&3; exec sleep 600", str(tmp_path / "pid"))
    with pytest.raises(CommandTimeout) as caught:
        anywhere.run(script, timeout=1)
    assert caught.value.got == "begun"
    pid = (tmp_path / "pid").read_text().strip()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the end of the command")
    assert anywhere.run(Command("next", "echo there")).text == "there\n"


def test_a_command_may_end_before_it_has_read_its_input(way: SerialTransport) -> None:
    result = way.run(Command("impatient", "head -c 3; exit 7"), stdin=EVERY_BYTE * 4000)
    assert (result.status, result.stdout) == (7, EVERY_BYTE[:3])


def test_a_command_may_take_its_time_with_its_input(way: SerialTransport, tmp_path: Path) -> None:
    go = tmp_path / "go"
    data = EVERY_BYTE * 2000
    told: list[int] = []

    def progress(done: int, _: int) -> None:
        told.append(done)
        go.touch()

    script = Command.of("slow reader", "until [ -e {0} ]; do sleep 0.05; done; cksum", str(go))
    result = way.stream(script, iter([data]), total=len(data), progress=progress)
    assert result.stdout.split()[1] == str(len(data)).encode()


def test_what_a_command_starts_in_the_background_does_not_hold_it_up(way: SerialTransport) -> None:
    assert way.run(Command("starter", "sleep 600 & echo $!"), timeout=20).status == 0


def test_commands_start_where_a_login_starts_and_with_its_mask(tmp_path: Path) -> None:
    with FaultyWire(env={"HOME": str(tmp_path)}) as wire:
        way = SerialTransport("s1", wire.plug, patience=20)
        assert way.run(Command("where", "pwd; umask; echo $#")).text == f"{tmp_path}\n0022\n0\n"
        way.close()


def test_a_failed_check_says_what_the_node_said(way: SerialTransport) -> None:
    with pytest.raises(CommandFailed) as caught:
        way.check(Command("mount it", "echo 'no such disk' >&2; exit 32"))
    assert (caught.value.node, caught.value.step, caught.value.got) == ("s1", "mount it", "no such disk")
    assert "/dev/ttyTEST at 115200" in str(caught.value)


def test_a_command_that_was_killed_has_no_exit_status(way: SerialTransport, tmp_path: Path) -> None:
    """The shell that waits for it on the node is killed, as by a kernel that is out of memory."""
    script = "read -r parent </proc/$PPID/stat; set -- $parent; kill -9 $4; sleep 600"
    with pytest.raises(TransportError) as caught:
        way.run(Command("unlucky", script), timeout=60)
    assert caught.value.problem == "'unlucky' was cut off"
    assert "killed" in (caught.value.got or "")


def test_threads_take_turns(way: SerialTransport) -> None:
    found: dict[int, str] = {}

    def work(number: int) -> None:
        for _ in range(5):
            found[number] = way.run(Command("turn", f"echo {number}")).text

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"{number}\n" for number in range(4)}


def test_ports_are_not_forwarded(way: SerialTransport) -> None:
    with pytest.raises(TransportError, match="can't be forwarded over a serial console"):
        way.forward("127.0.0.1", 6443)


def test_nothing_of_it_stays_on_the_node(wire: FaultyWire, tmp_path: Path) -> None:
    before = set(Path("/run").glob("clusterup-serial.*"))
    way = SerialTransport("s1", wire.plug, patience=20)
    way.run(Command("secret", "cat"), stdin=b"a secret")
    folder = (set(Path("/run").glob("clusterup-serial.*")) - before).pop()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not [path for path in folder.rglob("*") if path.name in ("script", "stdin") and path.read_bytes()]
    way.close()
    assert not folder.exists()
    line = wire.plug()
    line.write(b"echo 'still 'a shell\n")
    heard = bytearray()

    def is_there() -> bool:
        heard.extend(line.read(1))
        return b"still a shell" in heard

    wait_for(is_there, "the shell")


def test_a_transfer_that_is_under_way_when_the_way_is_closed_ends_and_nothing_stays(wire: FaultyWire) -> None:
    before = set(Path("/run").glob("clusterup-serial.*"))
    left: list[Line] = []
    way = SerialTransport("s1", wire.plug, patience=20, log_out=left.append)
    (folder,) = set(Path("/run").glob("clusterup-serial.*")) - before
    size, begun, failed = 50_000_000, Event(), list[Exception]()

    def send() -> None:
        chunks = (os.urandom(50_000) for _ in range(size // 50_000))
        try:
            way.stream(Command("sink", "cat >/dev/null"), chunks, total=size, progress=lambda *_: begun.set())
        except TransportError as error:
            failed.append(error)

    sender = Thread(target=send)
    sender.start()
    wait_for(begun.is_set, "the first confirmed bytes")
    way.close()
    sender.join(20)
    assert "it was closed from here" in str(failed[0])
    assert len(left) == 1
    assert not folder.exists()


def is_of(folder: Path, mark: str) -> bool:
    """Whether the far side that keeps the folder was started with that in its environment."""
    try:
        return mark.encode() in Path(f"/proc/{(folder / 'alive').read_text().strip()}/environ").read_bytes()
    except OSError:
        return False


def test_what_an_operator_left_who_was_killed_is_removed_by_the_next() -> None:
    # Other tests that run beside this one have such folders as well.
    mark = f"CLUSTERUP_TEST_WIRE={secrets.token_hex(8)}"
    with FaultyWire(env={**os.environ, **dict([mark.split("=")])}) as wire:
        SerialTransport("s1", wire.plug, patience=20).run(Command("secret", "echo secret"))
        (left,) = (folder for folder in Path("/run").glob("clusterup-serial.*") if is_of(folder, mark))
    agent = (left / "alive").read_text().strip()
    wait_for(lambda: not Path(f"/proc/{agent}").exists(), "the end of the far side")
    with FaultyWire() as wire:
        way = SerialTransport("s1", wire.plug, patience=20)
        assert not left.exists()
        way.close()


def test_secrets_are_not_echoed_and_not_in_the_history(tmp_path: Path) -> None:
    history = tmp_path / "history"
    with FaultyWire(["bash", "--norc", "-i"], env={"HISTFILE": str(history), "HOME": str(tmp_path)}) as wire:
        way = SerialTransport("s1", wire.plug, patience=20)
        way.run(Command("set it", "cat >/dev/null"), stdin=b"Tr0ub4dor&3")
        assert b"Tr0ub4dor" not in wire.said, "the node said it back"
        way.close()
        line = wire.plug()
        line.write(b"exit\n")
        wait_for(lambda: wire.shell_ended, "the end of the shell")
    assert not history.exists() or not history.read_text()
