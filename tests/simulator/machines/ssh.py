"""SSH servers for hundreds of simulated machines, in one thread of this process.

What they speak is real SSH (AsyncSSH): Paramiko and OpenSSH's client can't tell. A command is run when its standard
input has ended, or at once on a terminal; its answer comes when it is whole. Interactive shells, subsystems and ports
that a client wants to have listened on are refused.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, TypeVar

import asyncssh

from tests.simulator.machines.machine import Answer, Machine

T = TypeVar("T")

MOST_INPUT = 256 * 1024 * 1024
"""Bytes of standard input that one command may have; the rest is thrown away, and the command fails."""
WORKERS = 256
"""Scripts that run at once; more wait."""
BACKLOG = 16


class Fleet:
    """Machines that are served. Safe between threads, those in which scripts run included."""

    def __init__(self, *, most_input: int = MOST_INPUT, workers: int = WORKERS) -> None:
        self.most_input = most_input
        self.failures: list[BaseException] = []
        self._count = _Count()
        self._stations: dict[str, _Station] = {}
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="script")
        # A client that hangs up while it is answered is nothing to tell anybody.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)
        self._thread.start()

    def add(self, machine: Machine, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """Switch a machine on at an address of loopback, on that port or on a free one. Returns both."""
        station = _Station(self, machine, host, port)
        self._stations[machine.name] = station
        self._on_the_loop(station.listen())
        return station.host, station.port

    def place(self, name: str) -> tuple[str, int]:
        """The address and the port of a machine: the same for as long as the fleet lasts."""
        return self._stations[name].host, self._stations[name].port

    def cut(self, name: str) -> None:
        """End all connections of a machine at once; new ones are taken."""
        self._on_the_loop(self._stations[name].cut())

    def switch_off(self, name: str) -> None:
        """End all connections of a machine at once, and refuse new ones. Nothing happens where it is off."""
        self._on_the_loop(self._stations[name].switch_off())

    def switch_on(self, name: str) -> None:
        """Take connections again. Nothing happens where it is on."""
        self._on_the_loop(self._stations[name].listen())

    @property
    def most_at_once(self) -> int:
        """How many scripts have run at the same time, at most."""
        return self._count.most

    @property
    def connections(self) -> int:
        """How many connections have been made so far."""
        return sum(station.connections for station in self._stations.values())

    def close(self) -> None:
        """Switch everything off. Scripts that still run are left to themselves."""
        for name in self._stations:
            self.switch_off(name)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def begin(self, run: Callable[[], Answer], then: Callable[[Answer], None]) -> None:
        """Run a script in a thread of its own, and call `then` with its answer on the loop."""

        def work() -> None:
            with self._count:
                try:
                    answer = run()
                except Exception as error:
                    self.failures.append(error)
                    answer = Answer(125, stderr=traceback.format_exc().encode())
            # The fleet may have gone while the script ran.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(then, answer)

        self._workers.submit(work)

    def _on_the_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def serving(machines: Iterable[Machine], *, host_of: Callable[[int], str] | None = None) -> Iterator[Fleet]:
    """A fleet of machines, each on a loopback address of its own (`host_of` its number, counted from 0). At the end
    raises what the first script raised that a machine could not run."""
    fleet = Fleet()
    try:
        for number, machine in enumerate(machines):
            fleet.add(machine, (host_of or loopback)(number))
        yield fleet
    finally:
        fleet.close()
    if fleet.failures:
        raise fleet.failures[0]


def loopback(number: int) -> str:
    """The loopback address of the machine with that number, 0 to 65,023."""
    return f"127.77.{number // 254}.{number % 254 + 1}"


def private(listens_at: str) -> str:
    """The address of the network that a machine has whose SSH server listens on an address of loopback: no node of a
    cluster is at one of those."""
    return f"10.{listens_at.partition('.')[2]}"


@lru_cache(256)
def script_of(line: str) -> str:
    """The script in a command line as `bootstrap.transport.channel.command_line` makes it (sh -c BOUNDED sh SECONDS
    SCRIPT, perhaps behind sudo), or as it is attached to a person's own streams (sh -c SCRIPT); any other line is a
    script itself."""
    try:
        words = shlex.split(line)
    except ValueError:
        return line
    bounded = len(words) >= 6 and words[-6:-4] == ["sh", "-c"] and words[-3] == "sh" and words[-2].isdecimal()
    attached = len(words) == 3 and words[:2] == ["sh", "-c"]
    return words[-1] if bounded or attached else line


class _Count:
    """How many are inside at once, and how many have been at most."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


class _Station:
    """One machine's listener and its connections. Everything here runs on the loop."""

    def __init__(self, fleet: Fleet, machine: Machine, host: str, port: int) -> None:
        self.fleet = fleet
        self.machine = machine
        self.connections = 0
        self.host = host
        self.port = port
        self._listener: asyncio.Server | None = None
        self._open: set[asyncssh.SSHServerConnection] = set()
        self._options: tuple[bytes, asyncssh.SSHServerConnectionOptions] | None = None

    async def listen(self) -> None:
        if self._listener is None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(
                lambda: asyncssh.SSHServerConnection(loop, self._settings()),
                self.host,
                self.port,
                backlog=BACKLOG,
                reuse_address=True,
            )
            # A machine that is switched on again is found where it was.
            self.port = self._listener.sockets[0].getsockname()[1]

    async def switch_off(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self.cut()

    async def cut(self) -> None:
        for connection in tuple(self._open):
            connection.abort()

    def made(self, connection: asyncssh.SSHServerConnection) -> None:
        self.connections += 1
        self._open.add(connection)

    def lost(self, connection: asyncssh.SSHServerConnection) -> None:
        self._open.discard(connection)

    def _settings(self) -> asyncssh.SSHServerConnectionOptions:
        key = self.machine.host_key
        if self._options is None or self._options[0] != key:
            options = asyncssh.SSHServerConnectionOptions(
                server_factory=lambda: _Greeter(self),
                server_host_keys=[asyncssh.import_private_key(key)],
                encoding=None,
                line_editor=False,
                allow_scp=False,
                gss_host=None,
                compression_algs=["none"],
            )
            self._options = (key, options)
        return self._options[1]


class _Greeter(asyncssh.SSHServer):
    """One connection to a machine."""

    def __init__(self, station: _Station) -> None:
        self._station = station
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._station.made(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._station.lost(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        words = key.export_public_key("openssh").decode().split()
        return self._station.machine.lets_in(username, " ".join(words[:2]))

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._station)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        place = self._station.machine.leads_to(dest_host, dest_port)
        if place is None or self._connection is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")
        return self._connection.forward_connection(*place)


class _Session(asyncssh.SSHServerSession[bytes]):
    """One command on a machine."""

    def __init__(self, station: _Station) -> None:
        self._station = station
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._line = ""
        self._input = bytearray()
        self._too_much = False
        self._terminal = False
        self._begun = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: object, term_modes: object) -> bool:
        self._terminal = True
        return True

    def exec_requested(self, command: str) -> bool:
        self._line = command
        return True

    def session_started(self) -> None:
        if self._terminal:
            self._begin()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if len(self._input) + len(data) > self._station.fleet.most_input:
            self._too_much = True
        else:
            self._input += data

    def eof_received(self) -> bool:
        self._begin()
        # The channel stays open for the answer.
        return True

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        if self._too_much:
            self._answer(Answer(1, stderr=b"more standard input than a simulated machine takes\n"))
            return
        script, stdin, machine = script_of(self._line), bytes(self._input), self._station.machine
        self._input.clear()
        self._station.fleet.begin(lambda: machine.run(script, stdin), self._answer)

    def _answer(self, answer: Answer) -> None:
        channel = self._channel
        if channel is None or channel.is_closing():
            return
        if answer.stdout:
            channel.write(answer.stdout)
        if answer.stderr:
            channel.write_stderr(answer.stderr)
        channel.exit(answer.status)
