"""The SSH servers of simulated machines, entered by the transport that clusterup uses and by OpenSSH's client."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.pki.sshkeys import SshKey, new_ssh_key
from bootstrap.transport.base import Command
from bootstrap.transport.errors import AuthenticationFailed, HostKeyMismatch, TransportError
from bootstrap.transport.hostkeys import HostKeys
from bootstrap.transport.ssh import SshTransport, open_ssh
from bootstrap.transport.sudo import SAYS
from bootstrap.transport.target import SshTarget
from tests.integration.transport.conftest import write_key
from tests.simulator.machines.machine import Answer
from tests.simulator.machines.ssh import Fleet, serving


@dataclass
class Parrot:
    """A machine that says what it was told to run, and how much it was given to read."""

    name: str
    visitor: str
    key: SshKey = field(default_factory=new_ssh_key)
    ways: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    work: Callable[[str], Answer | None] = lambda _: None

    @property
    def host_key(self) -> bytes:
        return self.key.private

    def lets_in(self, user: str, public_key_line: str) -> bool:
        return user == "root" and public_key_line == self.visitor

    def run(self, script: str, stdin: bytes) -> Answer:
        if "id -u" in script:
            return Answer(0, f"{SAYS}root\n".encode())
        return self.work(script) or Answer(3, f"{self.name}: {script}".encode(), str(len(stdin)).encode())

    def leads_to(self, host: str, port: int) -> tuple[str, int] | None:
        return self.ways.get((host, port))


@dataclass
class Operator:
    """Somebody with a key, in front of a fleet."""

    key: Path
    folder: Path
    stack: ExitStack

    def starts(self, *machines: Parrot) -> Fleet:
        return self.stack.enter_context(serving(machines))

    def machine(self, name: str = "m1") -> Parrot:
        return Parrot(name, self.key.with_name("key.pub").read_text().strip())

    def enters(self, fleet: Fleet, name: str = "m1", key: Path | None = None) -> SshTransport:
        host, port = fleet.place(name)
        target = SshTarget(name, host, port, "root", (key or self.key,), use_config=False, agent=False)
        way = open_ssh(target, HostKeys(self.folder / "hosts.json"), lambda *_: "live")
        self.stack.callback(way.close)
        return way


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    write_key(tmp_path / "key")
    with ExitStack() as stack:
        yield Operator(tmp_path / "key", tmp_path, stack)


def test_a_script_arrives_as_it_was_sent_and_its_answer_comes_back(operator: Operator) -> None:
    fleet = operator.starts(operator.machine("m1"), operator.machine("m2"))
    script = 'echo "it\'s" $HOME\n'
    for name in ("m1", "m2"):
        result = operator.enters(fleet, name).run(Command("say", script), stdin=b"12345")
        assert (result.status, result.text, result.stderr) == (3, f"{name}: {script}", b"5")


def test_a_large_standard_input_arrives_whole(operator: Operator) -> None:
    fleet = operator.starts(operator.machine())
    assert operator.enters(fleet).run(Command("take", "cat"), stdin=bytes(20_000_000)).stderr == b"20000000"


def test_more_standard_input_than_a_machine_takes_fails_the_command(operator: Operator) -> None:
    fleet = operator.starts(operator.machine())
    fleet.most_input = 1_000_000
    result = operator.enters(fleet).run(Command("take", "cat"), stdin=bytes(2_000_000))
    assert (result.status, result.stdout) == (1, b"")
    assert b"more standard input" in result.stderr


def test_a_key_that_the_machine_does_not_know_is_refused(operator: Operator) -> None:
    fleet = operator.starts(operator.machine())
    write_key(operator.folder / "other")
    with pytest.raises(AuthenticationFailed):
        operator.enters(fleet, key=operator.folder / "other")


def test_another_system_on_the_machine_shows_another_host_key(operator: Operator) -> None:
    machine = operator.machine()
    fleet = operator.starts(machine)
    assert operator.enters(fleet).host_key == machine.key.public
    machine.key = new_ssh_key()
    with pytest.raises(HostKeyMismatch):
        operator.enters(fleet)


def test_a_machine_that_is_off_refuses_connections_until_it_is_on_again(operator: Operator) -> None:
    fleet = operator.starts(operator.machine("m1"), operator.machine("m2"))
    way = operator.enters(fleet)
    fleet.switch_off("m1")
    with pytest.raises(TransportError):
        way.run(Command("say", "anything"))
    with pytest.raises(TransportError, match="nothing listens"):
        operator.enters(fleet)
    assert operator.enters(fleet, "m2").run(Command("say", "hello")).text == "m2: hello"
    fleet.switch_on("m1")
    assert operator.enters(fleet).run(Command("say", "hello")).text == "m1: hello"


def test_a_script_may_cut_the_machine_s_own_connections_as_a_reboot_does(operator: Operator) -> None:
    machine = operator.machine()
    fleet = operator.starts(machine)
    machine.work = lambda script: fleet.cut("m1") if script == "reboot" else None
    way = operator.enters(fleet)
    with pytest.raises(TransportError, match="cut off"):
        way.run(Command("boot", "reboot"))
    assert operator.enters(fleet).run(Command("say", "hello")).text == "m1: hello"


def test_machines_answer_while_another_one_takes_its_time(operator: Operator) -> None:
    slow, quick = operator.machine("m1"), operator.machine("m2")
    go_on = threading.Event()
    slow.work = lambda _: Answer(0, b"at last") if go_on.wait(60) else None
    fleet = operator.starts(slow, quick)
    first, second = operator.enters(fleet, "m1"), operator.enters(fleet, "m2")
    said: list[str] = []
    asking = threading.Thread(target=lambda: said.append(first.run(Command("wait", "sleep")).text))
    asking.start()
    assert second.run(Command("say", "hello")).text == "m2: hello"
    go_on.set()
    asking.join()
    assert said == ["at last"]


def test_a_port_as_seen_from_a_machine_leads_to_a_port_of_this_one_or_is_refused(operator: Operator) -> None:
    first, second = operator.machine("m1"), operator.machine("m2")
    fleet = operator.starts(first, second)
    # What is behind the port is an SSH server as well: it greets.
    first.ways[("127.0.0.1", 2379)] = fleet.place("m2")
    with operator.enters(fleet).forward("127.0.0.1", 2379) as place, socket.create_connection(place) as sock:
        assert sock.recv(8) == b"SSH-2.0-"
    with operator.enters(fleet).forward("127.0.0.1", 6443) as place:
        refused = socket.create_connection(place)
        operator.stack.callback(refused.close)
        with pytest.raises(ConnectionResetError):
            refused.recv(8)


def test_a_script_that_a_machine_can_t_run_fails_there_and_at_the_end(operator: Operator) -> None:
    def broken(_: str) -> Answer:
        raise ZeroDivisionError("a mistake in the model")

    machine = operator.machine()
    machine.work = broken
    with pytest.raises(ZeroDivisionError, match="a mistake in the model"), serving([machine]) as fleet:
        assert operator.enters(fleet).run(Command("say", "anything")).status == 125


def test_openssh_s_client_enters_with_and_without_a_terminal(operator: Operator) -> None:
    machine = operator.machine()
    fleet = operator.starts(machine)
    host, port = fleet.place("m1")
    known = operator.folder / "known_hosts"
    known.write_text(f"[{host}]:{port} {machine.key.public}\n")
    options = ["-F", "none", "-i", str(operator.key), "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"]
    for terminal in ((), ("-tt",)):
        said = subprocess.run(
            ["ssh", *options, *terminal, "-p", str(port), f"root@{host}", "hostname"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert (said.returncode, said.stdout) == (3, b"m1: hostname")
