"""Waiting for SSH, with guests that answer, are silent, die in their kernel, or end."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.lab.machines.machine import RECORD, reset_machine
from bootstrap.lab.machines.process import identity_of, recorded
from bootstrap.lab.machines.qmp import qmp
from bootstrap.lab.spec import Lab
from bootstrap.lab.wait import ssh_banner, wait_until_reached
from bootstrap.transport.serial.line.sockets import connect_unix
from tests.helpers.daemons import wait_for
from tests.integration.lab.conftest import Bench

OOPS = "[    9.581277] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\n"


@contextmanager
def guest(says: bytes) -> Iterator[int]:
    """A port of 127.0.0.1 that says something to everybody and ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def with_ssh_port(lab: Lab, node: str, port: int) -> Lab:
    machines = tuple(replace(m, ssh_port=port) if m.name == node else m for m in lab.machines)
    return replace(lab, machines=machines)


def test_an_ssh_server_is_one_that_says_so() -> None:
    with guest(b"SSH-2.0-OpenSSH_10.0\r\n") as port:
        assert ssh_banner(port)
    with guest(b"HTTP/1.1 400 Bad Request\r\n") as port:
        assert not ssh_banner(port)
    with guest(b"") as port:
        assert not ssh_banner(port)


def test_a_port_without_anybody_and_a_silent_one_are_no_ssh_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not ssh_banner(port, timeout=0.05)
    assert not ssh_banner(port)


def test_machines_that_answer_end_the_wait_and_are_named(bench: Bench) -> None:
    lab = bench.up()
    with guest(b"SSH-2.0-x\r\n") as one, guest(b"SSH-2.0-x\r\n") as two:
        lab = with_ssh_port(with_ssh_port(lab, "server-1", one), "agent-1", two)
        wait_until_reached(lab, ["server-1", "agent-1"], {}, say=bench.said.append)
    assert [line.partition(":")[0] for line in bench.said if "SSH answers" in line] == ["server-1", "agent-1"]


def test_a_guest_that_stays_silent_is_an_error_with_the_last_words_of_its_console(bench: Bench) -> None:
    lab = bench.up()
    (lab.folder / "server-1" / "console.log").write_text("Waiting for the root device\n")
    with guest(b"") as port, pytest.raises(ClusterupError) as raised:
        wait_until_reached(with_ssh_port(lab, "server-1", port), ["server-1"], {}, say=bench.said.append, timeout=-1)
    assert "Waiting for the root device" in str(raised.value)
    assert "clusterup lab console server-1 --name bench" in str(raised.value)


def test_a_guest_whose_kernel_dies_each_time_is_reset_three_times_and_then_given_up(bench: Bench) -> None:
    lab = bench.up()
    console = lab.folder / "server-1" / "console.log"

    def die() -> None:
        with console.open("a") as log:
            log.write(OOPS)

    def say(line: str) -> None:
        bench.said.append(line)
        if "it is reset" in line:
            die()

    die()
    with guest(b"") as port, pytest.raises(ClusterupError) as raised:
        wait_until_reached(with_ssh_port(lab, "server-1", port), ["server-1"], {}, say=say, grace=0)
    resets = [line for line in bench.said if "its kernel died" in line]
    assert [line.rpartition("; ")[2] for line in resets] == [f"it is reset, {n} of 3" for n in (1, 2, 3)]
    assert "Oops: int3" in resets[0]
    assert "its kernel died 4 times" in str(raised.value)


def test_a_reset_is_a_real_one_and_a_paused_machine_stays_paused(bench: Bench) -> None:
    monitor = "unix:/run/lab/{}/second.sock,server=on,wait=off"
    spec = replace(bench.spec, agents=0, qemu_options=("-S", "-qmp", monitor.format("server-1")))
    lab = bench.up(spec)
    with connect_unix(lab.folder / "server-1" / "second.sock", 30) as connection, connection.makefile("rwb") as stream:
        stream.write(b'{"execute": "qmp_capabilities"}\n')
        stream.flush()
        reset_machine(lab, "server-1")
        events = (json.loads(line).get("event") for line in stream)
        assert next(event for event in events if event is not None) == "RESET"
    with qmp(lab.folder / "server-1" / "qmp.sock") as session:
        assert session.execute("query-status")["running"] is False


def test_what_the_console_said_before_the_machine_was_started_does_not_count(bench: Bench) -> None:
    lab = bench.up()
    console = lab.folder / "server-1" / "console.log"
    console.write_text(OOPS)
    with guest(b"") as port, pytest.raises(ClusterupError) as raised:
        wait_until_reached(
            with_ssh_port(lab, "server-1", port),
            ["server-1"],
            {"server-1": console.stat().st_size},
            say=bench.said.append,
            timeout=-1,
            grace=0,
        )
    assert "server-1 can't be reached after" in str(raised.value)
    assert not any("reset" in line for line in bench.said)


def test_a_qemu_that_ended_is_not_waited_for(bench: Bench) -> None:
    lab = bench.up()
    found = recorded(lab.folder / "server-1" / RECORD)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    wait_for(lambda: identity_of(found.pid) is None, "its end")
    with pytest.raises(ClusterupError) as raised:
        wait_until_reached(lab, ["server-1"], {}, say=bench.said.append)
    assert raised.value.node == "server-1"
    assert "its QEMU ended" in str(raised.value)
