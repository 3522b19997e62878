"""The way into a node over SSH, with Paramiko (RFC 4251 to 4254)."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from bootstrap.content import Content
from bootstrap.transport.attached import Streams
from bootstrap.transport.base import Command, Progress, Result
from bootstrap.transport.connect import Trust
from bootstrap.transport.hostkeys import HostKeys
from bootstrap.transport.jumps import Jumps
from bootstrap.transport.results import cut_off, succeeded, took_too_long
from bootstrap.transport.sessions import Sessions
from bootstrap.transport.sudo import Root
from bootstrap.transport.target import Hop, SshTarget

if TYPE_CHECKING:
    import paramiko

__all__ = ["SshTarget", "SshTransport", "Trust", "open_ssh"]


def open_ssh(
    target: SshTarget,
    host_keys: HostKeys,
    trust: Trust,
    *,
    connect_timeout: float = 15.0,
    jumps: Jumps | None = None,
) -> SshTransport:
    """Connect, check every host key on the way, log in, and find out how to be root.

    `connect_timeout` (seconds) bounds each of: connection, handshake, each attempt to log in, becoming root. `jumps`
    has the ways to jump hosts that others use as well.
    Raises TransportError, AuthenticationFailed, HostKeyMismatch, Refused (host key not trusted) or BadUse (SSH
    configuration or a secret's source).
    """
    from bootstrap.transport.authenticate import authenticate
    from bootstrap.transport.connect import greet, load_paramiko
    from bootstrap.transport.ssh_config.route import route

    load_paramiko()
    *before, node = route(target)
    shared = jumps or own_jumps()

    def hop_by_hop(hops: Sequence[Hop], through: Sequence[paramiko.Transport]) -> tuple[paramiko.Transport, ...]:
        opened = list(through)
        try:
            for hop in hops:
                greeted = greet(hop, opened[-1] if opened else None, host_keys, trust, connect_timeout)
                opened.append(greeted.transport)
                authenticate(greeted.transport, hop.having_shown(greeted.host_key), connect_timeout)
        except BaseException:
            _close(opened[len(through) :])
            raise
        return tuple(opened)

    way_there = shared.through(before, target.node, lambda: hop_by_hop(before, ()))
    opened: list[paramiko.Transport] = []
    try:
        greeted = greet(node, way_there[-1] if way_there else None, host_keys, trust, connect_timeout)
        opened.append(greeted.transport)
        last = node.having_shown(greeted.host_key)
        authenticate(greeted.transport, last, connect_timeout)
        way = SshTransport(
            last,
            (*way_there, greeted.transport),
            host_key=greeted.host_key,
            host_key_kind=greeted.host_key_kind,
            leave=lambda: shared.leave(way_there),
        )
        # A machine of ours was entered as root, whom it lets in alone.
        if not last.ours(greeted.host_key):
            way.become(_root(way, last, connect_timeout))
    except BaseException:
        _close(opened)
        shared.leave(way_there)
        raise
    return way


def own_jumps() -> Jumps:
    """Ways to jump hosts, of which none is open yet."""
    return Jumps(_close)


def _root(way: SshTransport, hop: Hop, timeout: float) -> Root:
    """How commands become root there. Raises TransportError where they can't."""
    from bootstrap.transport.sudo import NoCommand, find_root

    def run(prefix: str, script: str, stdin: bytes) -> Result:
        return way.probe(prefix, script, stdin, timeout)

    try:
        return find_root(hop, run)
    except NoCommand as error:
        # What csh and tcsh say of a line's end within quotes.
        if "nmatched" not in (error.got or ""):
            raise
        way.spell_out()
        return find_root(hop, run)


class SshTransport:
    """A `Transport` over one SSH connection (and those of the jump hosts before it).

    `host_key` is the public key line the node showed, `host_key_kind` the kind of the pin it matched. `leave` gives the
    jump hosts' connections back.
    """

    def __init__(
        self,
        hop: Hop,
        transports: Sequence[paramiko.Transport],
        *,
        host_key: str,
        host_key_kind: str,
        leave: Callable[[], None],
    ) -> None:
        self.host_key = host_key
        self.host_key_kind = host_key_kind
        self._hop = hop
        self._transports = tuple(transports)
        self._leave = leave
        self._closed = False
        self._root = Root("", b"")
        self._spell: Callable[[str], str] = str
        self._sessions = Sessions()

    @property
    def node(self) -> str:
        return self._hop.node

    @property
    def alive(self) -> bool:
        """See `Transport.alive`."""
        return all(transport.is_active() for transport in self._transports)

    def become(self, root: Root) -> None:
        """Run what follows as root in this way."""
        self._root = root

    def spell_out(self) -> None:
        """The login shell reads what follows in another way than sh(1): see `channel.spelled_out`."""
        from bootstrap.transport.channel import spelled_out

        self._spell = spelled_out

    def probe(self, prefix: str, script: str, stdin: bytes, timeout: float) -> Result:
        """Run a script as the user who logged in, behind `prefix`; else as `run`."""
        return self._execute(Command("become root", script), Root(prefix, b""), (stdin,), timeout)

    def run(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """See `Transport.run`. The last 8 MiB of each output are kept."""
        return self._execute(command, self._root, (stdin,), timeout)

    def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """See `Transport.check`."""
        return succeeded(self.run(command, stdin=stdin, timeout=timeout), self.node, self._hop.address)

    def stream(
        self,
        command: Command,
        chunks: Iterator[bytes],
        *,
        total: int,
        progress: Progress,
        timeout: float = 3600.0,
    ) -> Result:
        """See `Transport.stream`."""
        result = self._execute(command, self._root, _counted(chunks, total, progress), timeout)
        return succeeded(result, self.node, self._hop.address)

    def upload(self, source: Path | Content, destination: str, *, sha256: str, mode: int, progress: Progress) -> None:
        """See `Transport.upload`."""
        from bootstrap.transport.upload import upload

        upload(self, source, destination, sha256=sha256, mode=mode, progress=progress)

    def forward(self, host: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """See `Transport.forward`."""
        from bootstrap.transport.forward import forward

        return forward(self._transports[-1], host, port)

    def attach(self, script: str | None, streams: Streams) -> int:
        """Run a shell script as root, or where there is none the login shell of whoever logged in, with these streams
        as its own; its exit status. Raises TransportError where the connection does not last as long."""
        from bootstrap.transport.attached import attach
        from bootstrap.transport.channel import open_session
        from bootstrap.transport.outcome import ChannelLost

        line = None if script is None else self._spell(f"{self._root.prefix}sh -c {shlex.quote(script)}")
        try:
            channel = open_session(self._transports[-1], self._sessions)
            try:
                return attach(channel, line, b"" if script is None else self._root.first_input, streams)
            finally:
                self._sessions.closed()
        except ChannelLost as error:
            raise cut_off("the session", self.node, self._hop.address, str(error)) from None

    def close(self) -> None:
        """See `Transport.close`."""
        if not self._closed:
            self._closed = True
            _close(self._transports[-1:])
            self._leave()

    def _execute(self, command: Command, root: Root, chunks: Iterable[bytes], timeout: float) -> Result:
        from bootstrap.transport.channel import command_line, execute
        from bootstrap.transport.outcome import ChannelLost, ChannelTimeout

        line = self._spell(command_line(command.script, prefix=root.prefix, timeout=timeout))
        started = monotonic()
        fed = _after(root.first_input, chunks)
        try:
            outcome = execute(self._transports[-1], line, fed, sessions=self._sessions, timeout=timeout)
        except ChannelTimeout as error:
            raise took_too_long(command.name, self.node, self._hop.address, timeout, error.stderr) from None
        except ChannelLost as error:
            raise cut_off(command.name, self.node, self._hop.address, str(error)) from None
        return Result(command, outcome.status, outcome.stdout, outcome.stderr, monotonic() - started)


def _after(first: bytes, chunks: Iterable[bytes]) -> Iterable[bytes]:
    if isinstance(chunks, tuple):
        return (first, *chunks)
    return chain((first,), chunks)


def _counted(chunks: Iterator[bytes], total: int, progress: Progress) -> Iterator[bytes]:
    """The chunks, with progress told when each is on its way."""
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(done, total)


def _close(transports: Sequence[paramiko.Transport]) -> None:
    for transport in reversed(transports):
        # Its thread would only look up after its next tenth of a second.
        if isinstance(transport.sock, socket.socket):
            with suppress(OSError):
                transport.sock.shutdown(socket.SHUT_RDWR)
        transport.close()
