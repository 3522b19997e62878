"""What the server of artifacts bears: peers that say nothing, that say it a byte at a time, that read nothing of what
they asked for. The sockets, their TLS and the process are real."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bootstrap.spec.artifacts import MEMORY_MAX
from tests.helpers.daemons import wait_for
from tests.integration.node.artifact_server import TOKEN, ArtifactServer, Cluster, serving, sha256

CROWD = 1200
CONTENT = b"the payload " * 100_000
LARGE = 64 << 20
# Of one artifact there is nothing but holes: what it holds makes no difference.
HOLES = "e" * 64
HEAD = f"GET /artifacts/{HOLES} HTTP/1.1\r\nAuthorization: Bearer {TOKEN.reveal()}\r\n\r\n".encode()


@contextmanager
def server(folder: Path, limits: Mapping[str, float] | None = None) -> Iterator[ArtifactServer]:
    (folder / "payload.raw").write_bytes(CONTENT)
    with (folder / "holes").open("wb") as handle:
        handle.truncate(LARGE)
    cluster = Cluster(folder)
    artifacts = {sha256(CONTENT): folder / "payload.raw", HOLES: folder / "holes"}
    with cluster.serves() as api, serving(folder, cluster, api, artifacts, limits=limits or {}) as running:
        yield running


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connected(running: ArtifactServer, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=60, source_address=(source, 0))


def mute(running: ArtifactServer, source: str) -> socket.socket:
    return connected(running, source)


def begins_a_handshake(running: ArtifactServer, source: str) -> socket.socket:
    sock = connected(running, source)
    # The first bytes of a ClientHello: a record of 512 bytes, of which no more come. RFC 8446, section 5.1.
    sock.sendall(b"\x16\x03\x01\x02\x00\x01")
    return sock


@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"], ids=["of its own address", "of another address"])
@pytest.mark.parametrize("silent", [mute, begins_a_handshake])
def test_a_crowd_that_says_nothing_keeps_no_client_out_and_costs_no_threads(
    tmp_path: Path, silent: Callable[[ArtifactServer, str], socket.socket], source: str
) -> None:
    with server(tmp_path) as running, ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(silent(running, source))
        assert running.get(f"/artifacts/{sha256(CONTENT)}") == (200, CONTENT)
        assert running.status("Threads") <= 10
        assert running.status("VmHWM") << 10 < MEMORY_MAX
        wait_for(lambda: running.descriptors < 200, "an end of those in the way", 20)
    assert "Traceback" not in running.said


@pytest.mark.usefixtures("many_descriptors")
def test_a_crowd_that_finished_its_handshakes_and_asks_for_nothing_keeps_no_client_out(tmp_path: Path) -> None:
    with server(tmp_path) as running, ExitStack() as crowd:
        context = running.context
        for _ in range(300):
            sock = crowd.enter_context(connected(running))
            crowd.enter_context(context.wrap_socket(sock, server_hostname="127.0.0.1"))
        assert running.get(f"/artifacts/{sha256(CONTENT)}") == (200, CONTENT)
        assert running.status("VmHWM") << 10 < MEMORY_MAX


def test_a_transfer_goes_on_while_a_crowd_comes(tmp_path: Path) -> None:
    with server(tmp_path) as running, ExitStack() as crowd:
        transfer = crowd.enter_context(running.context.wrap_socket(connected(running), server_hostname="127.0.0.1"))
        transfer.sendall(HEAD)
        read = len(transfer.recv(1000))
        for _ in range(300):
            crowd.enter_context(connected(running))
        while piece := transfer.recv(1 << 20):
            read += len(piece)
        assert read > LARGE


def ends(peer: socket.socket, step: bytes) -> bytes:
    """What comes back before the other end closes, to one who sends `step` again and again."""
    came = b""
    peer.settimeout(0.05)
    while True:
        try:
            piece = peer.recv(1000)
            came += piece
            if not piece:
                return came
        except TimeoutError:
            pass
        except OSError:
            return came
        try:
            peer.sendall(step)
        except OSError:
            return came


def test_a_head_that_comes_a_byte_at_a_time_ends_with_the_deadline_of_the_request(tmp_path: Path) -> None:
    with server(tmp_path, limits={"request": 1.0}) as running:
        with running.context.wrap_socket(connected(running), server_hostname="127.0.0.1") as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
            assert ends(peer, b"a") == b""
        assert running.get(f"/artifacts/{sha256(CONTENT)}")[0] == 200


def test_a_handshake_that_comes_a_byte_at_a_time_ends_with_the_same_deadline(tmp_path: Path) -> None:
    with server(tmp_path, limits={"request": 1.0}) as running, connected(running) as peer:
        peer.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
        assert ends(peer, b"\x00") == b""


def test_a_head_that_never_ends_is_refused(tmp_path: Path) -> None:
    with (
        server(tmp_path) as running,
        running.context.wrap_socket(connected(running), server_hostname="127.0.0.1") as peer,
    ):
        peer.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        assert ends(peer, b"a" * 5000).startswith(b"HTTP/1.1 431 ")


def test_one_who_reads_nothing_of_what_was_asked_for_gives_the_place_back(tmp_path: Path) -> None:
    limits = {"block": 1.0, "transfers": 1}
    with (
        server(tmp_path, limits=limits) as running,
        running.context.wrap_socket(connected(running), server_hostname="127.0.0.1") as peer,
    ):
        peer.sendall(HEAD)
        assert peer.recv(15) == b"HTTP/1.1 200 OK"
        status, said = running.get(f"/artifacts/{sha256(CONTENT)}")
        assert (status, said) == (503, b"too many are served already\n")
        wait_for(lambda: running.get(f"/artifacts/{sha256(CONTENT)}") == (200, CONTENT), "the place", 60)
    assert "Traceback" not in running.said


def test_one_address_does_not_take_all_transfers(tmp_path: Path) -> None:
    limits = {"transfers_to_one_address": 1}
    with (
        server(tmp_path, limits=limits) as running,
        running.context.wrap_socket(connected(running), server_hostname="127.0.0.1") as peer,
    ):
        peer.sendall(HEAD)
        assert peer.recv(15) == b"HTTP/1.1 200 OK"
        assert running.get(f"/artifacts/{sha256(CONTENT)}")[0] == 503
        other = running.get(f"/artifacts/{sha256(CONTENT)}", source_address=("127.0.0.2", 0))
        assert other == (200, CONTENT)


def test_a_slow_line_gets_what_takes_it_far_longer_than_a_block_may_take(tmp_path: Path) -> None:
    with server(tmp_path, limits={"block": 1.0}) as running:
        # It takes what the kernel does not hold on the way at once.
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        sock.connect(("127.0.0.1", running.port))
        with running.context.wrap_socket(sock, server_hostname="127.0.0.1") as peer:
            peer.sendall(HEAD)
            read = 0
            while piece := peer.recv(1 << 20):
                read += len(piece)
                # The line's own pace: a mebibyte takes it a tenth of a second.
                time.sleep(len(piece) / (10 << 20))
        assert read > LARGE


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT", "TRACE"])
def test_nothing_is_done_but_reading(tmp_path: Path, method: str) -> None:
    with server(tmp_path) as running:
        assert running.get(f"/artifacts/{HOLES}", method=method)[0] == 405


def test_who_asks_for_the_head_gets_no_body(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        assert running.get(f"/artifacts/{HOLES}", method="HEAD") == (200, b"")
        assert running.get("/artifacts/none", method="HEAD") == (404, b"")


@pytest.mark.parametrize("sent", [b"\x00\xff" * 40, b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\r\n\r\n"])
def test_what_is_no_request_ends_without_a_traceback(tmp_path: Path, sent: bytes) -> None:
    with server(tmp_path, limits={"request": 1.0}) as running:
        with connected(running) as plain:
            plain.sendall(sent)
            ends(plain, b"")
        with running.context.wrap_socket(connected(running), server_hostname="127.0.0.1") as peer:
            peer.sendall(sent)
            assert ends(peer, b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert running.get(f"/artifacts/{sha256(CONTENT)}")[0] == 200
    assert "Traceback" not in running.said
