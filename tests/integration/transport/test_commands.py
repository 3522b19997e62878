"""Commands over a real sshd: exact bytes, exit status, time-outs, streams, many at once, forwarded ports."""

from __future__ import annotations

import hashlib
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bootstrap.transport.base import Command, Transport
from bootstrap.transport.errors import CommandFailed, CommandTimeout, TransportError
from bootstrap.transport.outcome import KEPT_OUTPUT
from bootstrap.transport.ssh import SshTransport
from tests.integration.transport.conftest import Server, World, free_port, wait_for
from tests.integration.transport.proxy import CuttingProxy


@pytest.fixture
def way(world: World, sshd: Server) -> SshTransport:
    return world.open(world.target(sshd))


def test_it_is_what_the_engine_calls_a_transport(way: SshTransport) -> None:
    transport: Transport = way
    assert transport.node == "node1"


def test_a_way_in_is_alive_until_it_is_closed(way: SshTransport) -> None:
    assert way.alive
    way.close()
    assert not way.alive


def test_exit_status_and_both_outputs_come_back_apart(way: SshTransport) -> None:
    result = way.run(Command("three", "echo out; echo err >&2; exit 3"))
    assert (result.status, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert result.seconds > 0


def test_binary_input_and_output_are_exact(way: SshTransport) -> None:
    data = bytes(range(256)) * 20_000
    assert way.check(Command("echo", "cat"), stdin=data).stdout == data


def test_much_error_output_before_any_other_keeps_nothing_waiting(way: SshTransport) -> None:
    script = "head -c 6000000 /dev/zero >&2; echo done"
    result = way.run(Command("complain", script))
    assert (result.status, result.stdout, len(result.stderr)) == (0, b"done\n", 6_000_000)


def test_quotes_and_lines_of_a_script_arrive_as_written(way: SshTransport) -> None:
    command = Command.of("say", "printf '%s|' {} \"two\nlines\" 'a\"b' $((1 + 1))", "it's $HOME; `id` \\")
    assert way.check(command).text == "it's $HOME; `id` \\|two\nlines|a\"b|2|"


def test_a_failed_command_says_what_the_node_said(way: SshTransport) -> None:
    with pytest.raises(CommandFailed) as failed:
        way.check(Command("mount the disk", "echo 'no such disk' >&2; exit 32"))
    error = failed.value
    assert (error.node, error.step, error.got) == ("node1", "mount the disk", "no such disk")
    assert "exit status 32" in error.problem


def test_input_that_a_command_does_not_read_is_no_failure(way: SshTransport) -> None:
    assert way.run(Command("deaf", "exit 4"), stdin=bytes(20_000_000)).status == 4


def test_a_command_that_takes_too_long_is_stopped_on_the_node_too(way: SshTransport) -> None:
    with pytest.raises(CommandTimeout, match="did not end within 1 s") as failed:
        way.run(Command("dawdle", "echo started >&2; sleep 86399 & wait"), timeout=1.0)
    assert failed.value.got == "started"
    assert (failed.value.node, failed.value.step) == ("node1", "dawdle")
    wait_for(lambda: not processes("sleep\x0086399\x00"))
    assert way.check(Command("next", "echo fine")).text == "fine\n"


def processes(command_line: str) -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_text(errors="replace") == command_line:
                found.append(path)
        except OSError:
            continue  # it ended meanwhile
    return found


def test_a_command_that_is_killed_is_not_taken_for_done(way: SshTransport) -> None:
    with pytest.raises(TransportError, match="cut off"):
        way.run(Command("die", "kill -9 $PPID; kill -9 $$"))


def test_of_a_flood_the_newest_output_is_kept(way: SshTransport) -> None:
    result = way.check(Command("flood", "head -c 12000000 /dev/zero; echo end"))
    assert len(result.stdout) == KEPT_OUTPUT
    assert result.stdout.endswith(b"\0end\n")


def test_a_stream_is_drained_while_it_is_fed_and_tells_its_progress(way: SshTransport) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(100)]
    told: list[tuple[int, int]] = []
    result = way.stream(
        Command("echo twice", "tee /dev/stderr"),
        iter(pieces),
        total=10_000_000,
        progress=lambda done, total: told.append((done, total)),
    )
    assert result.stdout == b"".join(pieces)[-KEPT_OUTPUT:]
    assert result.stderr == result.stdout
    assert told == [((number + 1) * 100_000, 10_000_000) for number in range(100)]


def test_a_stream_into_a_failing_command_raises(way: SshTransport) -> None:
    with pytest.raises(CommandFailed, match="exit status 28") as failed:
        way.stream(
            Command("fill", "head -c 1000 >/dev/null; echo 'No space left' >&2; exit 28"),
            iter([bytes(1_000_000)] * 20),
            total=20_000_000,
            progress=lambda done, total: None,
        )
    assert failed.value.got == "No space left"


def test_commands_from_many_threads_do_not_mix(way: SshTransport) -> None:
    def once(number: int) -> bool:
        data = hashlib.sha256(str(number).encode()).digest() * 5000
        return way.check(Command("echo", f"cat; echo {number} >&2"), stdin=data).stdout == data

    with ThreadPoolExecutor(24) as pool:
        assert all(pool.map(once, range(96)))


def test_a_lost_connection_is_said_and_later_commands_fail_at_once(world: World, sshd: Server) -> None:
    with CuttingProxy(sshd.port) as proxy:
        way = world.open(world.target(sshd, port=proxy.port))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(way.run, Command("wait", "echo here >&2; sleep 86398"), timeout=100)
            wait_for(lambda: bool(processes("sleep\x0086398\x00")))
            proxy.cut()
            with pytest.raises(TransportError, match="'wait' was cut off"):
                waiting.result(30)
        assert not way.alive
        with pytest.raises(TransportError, match="'after' was cut off"):
            way.run(Command("after", "true"))
        for path in processes("sleep\x0086398\x00"):
            way_out = world.open(world.target(sshd))
            way_out.run(Command("tidy", f"kill {path.parent.name}"))


def test_a_node_that_stops_answering_in_the_middle_of_a_stream_is_given_up(world: World, sshd: Server) -> None:
    with CuttingProxy(sshd.port) as proxy:
        way = world.open(world.target(sshd, port=proxy.port))

        def stall_soon(done: int, total: int) -> None:
            if done == 1_000_000:
                proxy.stall()

        with pytest.raises(CommandTimeout, match="'fill' did not end within 3 s"):
            way.stream(
                Command("fill", "cat >/dev/null"),
                iter([bytes(1_000_000)] * 100),
                total=100_000_000,
                progress=stall_soon,
                timeout=3.0,
            )
        with pytest.raises(TransportError):
            way.run(Command("next", "true"), timeout=1.0)


def test_closing_twice_is_fine(way: SshTransport) -> None:
    way.close()
    way.close()
    with pytest.raises(TransportError):
        way.run(Command("late", "true"))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[int]:
    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.path.encode() * 50_000
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def fetch(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return bytes(answer.read())


def test_a_forwarded_port_leads_to_the_nodes_side_until_the_context_ends(way: SshTransport, web: int) -> None:
    with way.forward("127.0.0.1", web) as (host, port):
        assert host == "127.0.0.1"
        with ThreadPoolExecutor(8) as pool:
            pages = pool.map(lambda number: fetch(port, f"/{number}"), range(30))
            assert list(pages) == [f"/{number}".encode() * 50_000 for number in range(30)]
    with pytest.raises(OSError, match="refused"):
        fetch(port, "/late")


def test_a_forwarded_port_that_leads_nowhere_resets(way: SshTransport) -> None:
    with way.forward("127.0.0.1", free_port()) as (_, port), pytest.raises(OSError, match=r"reset|closed"):
        fetch(port, "/")
    assert way.check(Command("next", "echo fine")).text == "fine\n"
