"""Servers that take few sessions, or few connections at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.transport.base import Command
from bootstrap.transport.connect import PAUSES, DroppedAtOnce
from bootstrap.transport.errors import TransportError
from bootstrap.transport.ssh import open_ssh, own_jumps
from tests.integration.transport.conftest import Server, World, free_port

StartSshd = Callable[..., Server]
WHO = Command("who", "id -u; sleep 0.1")


@pytest.mark.parametrize("most", [1, 2, 10])
def test_commands_at_once_all_run_however_few_sessions_there_are(
    world: World, start_sshd: StartSshd, most: int
) -> None:
    way = world.open(world.target(start_sshd(f"MaxSessions {most}")))
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: way.check(WHO).text, range(24))) == {"0\n"}


def test_a_server_without_sessions_is_named_with_its_limit(world: World, start_sshd: StartSshd) -> None:
    with pytest.raises(TransportError, match="MaxSessions of its sshd_config"):
        world.open(world.target(start_sshd("MaxSessions 0")))


def test_nodes_behind_a_jump_host_share_one_connection_to_it(world: World, start_sshd: StartSshd, sshd: Server) -> None:
    jump = start_sshd("MaxStartups 2:50:4")
    jumps, all_in = own_jumps(), threading.Barrier(30)

    def opened(number: int) -> str:
        target = world.target(sshd, node=f"node{number}", jumps=(world.target(jump),))
        way = open_ssh(target, world.host_keys, world.trust, jumps=jumps, connect_timeout=60.0)
        all_in.wait(120)
        try:
            return way.check(WHO).text
        finally:
            way.close()

    with ThreadPoolExecutor(30) as pool:
        assert set(pool.map(opened, range(30))) == {"0\n"}
    assert jump.log.count("Accepted publickey") == 1
    assert world.asked.count(f"jump:127.0.0.1:{jump.port}") == 1


def test_a_jump_host_that_is_not_there_is_named_by_each_node_behind_it(world: World, sshd: Server) -> None:
    jumps, port = own_jumps(), free_port()

    def failure(number: int) -> ClusterupError:
        target = world.target(sshd, node=f"node{number}", jumps=(world.target(sshd, port=port),))
        with pytest.raises(TransportError, match="nothing listens on port") as failed:
            open_ssh(target, world.host_keys, world.trust, jumps=jumps)
        return failed.value

    with ThreadPoolExecutor(8) as pool:
        assert {error.node for error in pool.map(failure, range(8))} == {f"node{number}" for number in range(8)}


def test_a_shared_way_that_was_lost_is_opened_again(world: World, start_sshd: StartSshd, sshd: Server) -> None:
    jump, jumps = start_sshd(), own_jumps()
    target = world.target(sshd, jumps=(world.target(jump),))
    first = open_ssh(target, world.host_keys, world.trust, jumps=jumps)
    first._transports[0].close()
    second = open_ssh(target, world.host_keys, world.trust, jumps=jumps)
    assert second.check(WHO).text == "0\n"
    first.close()
    assert second.check(WHO).text == "0\n"
    second.close()


def dropping(answers: list[bytes], forward_to: int) -> socket.socket:
    """A listener that answers each connection with one of these and hangs up; the one after them it leads on."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(answer)
        peer, _ = listener.accept()
        on = socket.create_connection(("127.0.0.1", forward_to))
        for one, other in ((peer, on), (on, peer)):
            threading.Thread(target=pump, args=(one, other), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener


def pump(source: socket.socket, sink: socket.socket) -> None:
    while data := source.recv(65536):
        sink.sendall(data)
    sink.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.transport.connect.PAUSES", (0.01,) * len(PAUSES))


@pytest.mark.parametrize("answer", [b"", b"Exceeded MaxStartups\r\n", b"Not allowed at this time\r\n"])
@pytest.mark.usefixtures("hasty")
def test_a_server_that_drops_a_connection_at_once_is_asked_again(world: World, sshd: Server, answer: bytes) -> None:
    with dropping([answer] * 3, sshd.port) as listener:
        way = world.open(world.target(sshd, port=listener.getsockname()[1]))
        assert way.check(WHO).text == "0\n"


@pytest.mark.usefixtures("hasty")
def test_one_that_drops_all_of_them_is_named_with_the_limit(world: World, sshd: Server) -> None:
    listener = dropping([b"Exceeded MaxStartups\r\n"] * 9, sshd.port)
    with listener, pytest.raises(DroppedAtOnce, match="before it says anything") as failed:
        world.open(world.target(sshd, port=listener.getsockname()[1]))
    assert failed.value.got == "Exceeded MaxStartups"
    assert "MaxStartups" in failed.value.hint
