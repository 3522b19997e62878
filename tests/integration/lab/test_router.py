"""The router between a lab's segments, with real packets on real switches, and network namespaces as machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.lab.machines import process
from bootstrap.lab.machines.process import identity_of, recorded
from bootstrap.lab.networks import router
from bootstrap.lab.networks.network import network_running, start_network, stop_network, switch_running
from bootstrap.lab.networks.router import ROUTER_LOG, ROUTER_RECORD, require_tun, router_running
from bootstrap.lab.spec import Lab, LabSpec
from tests.helpers.daemons import free_ports, wait_for
from tests.integration.lab.plugged import Plugged, plugged
from tests.unit.lab.samples import paper_lab

MIB = 1 << 20
LISTEN = """\
import socket, sys
with socket.create_server((sys.argv[1], 7)) as server:
    print("listening", flush=True)
    while True:
        connection, (peer, _) = server.accept()
        with connection:
            received = 0
            while block := connection.recv(65536):
                received += len(block)
            connection.sendall(f"{peer} {received}".encode())
"""
SEND = """\
import socket, sys
with socket.create_connection((sys.argv[1], 7), 30) as connection:
    connection.sendall(sys.stdin.buffer.read())
    connection.shutdown(socket.SHUT_WR)
    sys.stdout.buffer.write(connection.recv(1000))
"""


def made(folder: Path, spec: LabSpec) -> Lab:
    lab = paper_lab(folder, spec)
    return replace(lab, endpoint_port=free_ports(1)[0])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two servers and an agent on three segments, all that lies between them started."""
    found = made(tmp_path, LabSpec(servers=2, agents=1, segments=3, on=(("agent-1", 3),)))
    try:
        start_network(found, print)
        yield found
    finally:
        stop_network(found)


def ended(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: identity_of(pid) is None, "its end")


def echoes(one: Plugged, other: Plugged, size: int) -> bytes:
    """What the one says that the other, which sent it so many bytes, is called, and how many came."""
    argv = one.argv(sys.executable, "-c", LISTEN, one.machine.address)
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as listener:
        try:
            assert listener.stdout is not None
            assert listener.stdout.readline() == b"listening\n"
            return other.python(SEND, one.machine.address, given=b"x" * size)
        finally:
            listener.kill()


def test_machines_on_different_segments_reach_each_other_under_their_own_addresses(lab: Lab) -> None:
    with plugged(lab, "server-1") as one, plugged(lab, "server-2") as two, plugged(lab, "agent-1") as three:
        assert echoes(one, two, 8 * MIB) == f"10.77.1.12 {8 * MIB}".encode()
        assert echoes(three, two, 10) == b"10.77.1.12 10"
        assert echoes(two, one, 10) == b"10.77.0.11 10"


def test_segments_are_apart_without_the_router(lab: Lab) -> None:
    with plugged(lab, "server-1") as one, plugged(lab, "server-2") as two:
        router.stop_router(lab)
        with pytest.raises(AssertionError, match=r"timed out|No route to host"):
            echoes(one, two, 10)


def test_a_router_that_ended_is_started_again_and_machines_go_on(lab: Lab) -> None:
    with plugged(lab, "server-1") as one, plugged(lab, "server-2") as two:
        shell = recorded(lab.folder / ROUTER_RECORD)
        assert shell is not None
        ended(shell.pid)
        assert not router_running(lab)
        # It is where they know it to be, for as long as they don't ask again.
        said: list[str] = []
        start_network(lab, said.append)
        assert said == ["the router runs"]
        assert echoes(one, two, 10) == b"10.77.1.12 10"


def test_a_router_of_which_a_part_ended_is_no_router(lab: Lab) -> None:
    shell = recorded(lab.folder / ROUTER_RECORD)
    assert shell is not None
    _, second, _ = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
    ended(int(second))
    wait_for(lambda: not router_running(lab), "the end of all of it")
    start_network(lab, print)
    assert network_running(lab)


def test_a_switch_that_ended_takes_the_router_along_and_both_come_back(lab: Lab) -> None:
    process = recorded(lab.folder / "switch-2.process.json")
    assert process is not None
    ended(process.pid)
    assert not network_running(lab)
    start_network(lab, print)
    with plugged(lab, "server-1") as one, plugged(lab, "server-2") as two:
        assert echoes(one, two, 10) == b"10.77.1.12 10"


def test_what_runs_is_left_alone_and_all_of_it_ends(lab: Lab) -> None:
    records = [*sorted(lab.folder.glob("*.process.json"))]
    assert len(records) == 5
    before = [record.read_text() for record in records]
    said: list[str] = []
    start_network(lab, said.append)
    assert said == []
    assert [record.read_text() for record in records] == before
    inside = int(subprocess.check_output(["pgrep", "-f", "-c", f"{lab.folder}.*router.sh"]))
    assert inside
    stop_network(lab)
    assert not any(recorded(record) for record in records)
    assert [switch_running(lab, segment) for segment in lab.segment_numbers] == [False] * 3
    assert subprocess.run(["pgrep", "-f", f"{lab.folder}.*router.sh"], check=False).returncode == 1


def test_a_lab_of_one_segment_has_no_router(tmp_path: Path) -> None:
    lab = made(tmp_path, LabSpec(servers=1))
    try:
        start_network(lab, print)
        assert network_running(lab)
        assert not router_running(lab)
    finally:
        stop_network(lab)


def test_without_tap_devices_it_says_what_root_can_do(tmp_path: Path) -> None:
    with pytest.raises(ClusterupError) as raised:
        require_tun(tmp_path / "tun")
    assert raised.value.got == "No such file or directory"
    assert f"chmod 0666 {tmp_path}/tun" in raised.value.hint


def test_a_router_that_starts_in_part_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = made(tmp_path, LabSpec(servers=1, segments=2))
    cards = ["switch=10.77.0.1/24=52:54:00:00:00:01", "nowhere=10.77.1.1/24=52:54:00:00:00:02"]
    monkeypatch.setattr(router, "router_argv", lambda _: ["bash", "/run/lab/router.sh", *cards])
    try:
        with pytest.raises(ClusterupError, match="the router did not start"):
            start_network(lab, print)
        assert not router_running(lab)
    finally:
        stop_network(lab)


def test_what_is_never_ready_is_not_taken_for_running(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_TIMEOUT", 0.1)
    with pytest.raises(ClusterupError) as raised:
        process.wait_ready("the router", lab.folder, ROUTER_RECORD, ROUTER_LOG, lambda: False)
    assert "wait for the router to be ready" in (raised.value.tried or "")
    assert not router_running(lab)


def test_a_router_that_does_not_start_is_reported_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = made(tmp_path, LabSpec(servers=1, segments=2))
    nowhere = "nowhere=10.77.0.1/24=52:54:00:00:00:01"
    monkeypatch.setattr(router, "router_argv", lambda _: ["bash", "/run/lab/router.sh", nowhere])
    try:
        with pytest.raises(ClusterupError, match="the router did not start") as raised:
            start_network(lab, print)
        assert "nowhere" in (raised.value.got or "")
    finally:
        stop_network(lab)
