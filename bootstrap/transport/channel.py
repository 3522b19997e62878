"""One command over one SSH channel: fed, drained and bounded in time at once (RFC 4254, section 6)."""

from __future__ import annotations

import math
import secrets
import shlex
import string
import threading
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

from bootstrap.transport.deadlines import Deadlines
from bootstrap.transport.outcome import KEPT_OUTPUT, MORE_THAN_OURS, ChannelLost, ChannelTimeout, CommandOutcome
from bootstrap.transport.sessions import Sessions

if TYPE_CHECKING:
    import paramiko


OPENING = 30.0
"""Seconds a server may take to open a channel."""
SETTLING = 5.0
"""Seconds a channel may take to close before the whole connection counts as dead."""

PIECE = 65536
GLANCE = 0.2
"""Seconds after which the error output is looked at while the standard output says nothing."""

_DEADLINES = Deadlines()
_SAFE = frozenset(string.ascii_letters + string.digits + " _-./:=,@%+;|&<>(){}[]*?#~^")

# Closing a channel ends nothing that doesn't read or write; timeout(1) on the far side does, even when the
# connection is gone. A far side without it runs the script as it is.
_BEGINS = f"clusterup-begins-{secrets.token_hex(8)}"
_BOUNDED = (
    f"echo {_BEGINS}; "
    'if command -v timeout >/dev/null 2>&1; then exec timeout -k 5 "$1" sh -c "$2"; fi; exec sh -c "$2"'
)


def command_line(script: str, *, prefix: str, timeout: float) -> str:
    """What the login shell gets: `script` run by sh, behind `prefix` (sudo or nothing), ended after `timeout`."""
    seconds = str(math.ceil(timeout) + MORE_THAN_OURS)
    return f"{prefix}sh -c {shlex.quote(_BOUNDED)} sh {seconds} {shlex.quote(script)}"


def spelled_out(line: str) -> str:
    """The same command line without what csh(1) makes something else of within quotes: ends of lines and exclamation
    marks."""
    safe = "".join(letter if letter in _SAFE else _octal(letter) for letter in line)
    return f"sh -c 'eval \"$(printf %b \"$1\")\"' sh '{safe}'"


def _octal(letter: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in letter.encode())


def execute(
    transport: paramiko.Transport, line: str, chunks: Iterable[bytes], *, sessions: Sessions, timeout: float
) -> CommandOutcome:
    """Run a command line, feed it the chunks, return what came back. `timeout` in seconds, for all of it from the
    moment in which the server has a session left.

    Raises ChannelTimeout, ChannelLost, and whatever `chunks` raises.
    """
    channel = open_session(transport, sessions, min(timeout, OPENING))
    try:
        return _ran(transport, channel, line, chunks, timeout=timeout)
    finally:
        sessions.closed()


def open_session(transport: paramiko.Transport, sessions: Sessions, timeout: float = OPENING) -> paramiko.Channel:
    """A session of the connection; whoever got one says `sessions.closed()` at its end. Raises ChannelLost."""
    import paramiko

    try:
        return sessions.opened(lambda: transport.open_session(timeout=timeout), paramiko.ChannelException)
    except paramiko.ChannelException as error:
        raise ChannelLost(f"the server allows no session ({error.text}): see MaxSessions of its sshd_config") from None
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise ChannelLost(str(error) or "the connection is closed") from None


def _ran(
    transport: paramiko.Transport, channel: paramiko.Channel, line: str, chunks: Iterable[bytes], *, timeout: float
) -> CommandOutcome:
    started = monotonic()
    watchdog = _Watchdog(transport, channel, max(0.0, timeout - (monotonic() - started)))
    outputs = (_Output(channel.recv), _Output(channel.recv_stderr))
    try:
        _converse(channel, line, chunks, outputs)
    finally:
        watchdog.stop()
        channel.close()
    if watchdog.struck:
        raise ChannelTimeout(outputs[1].data())
    if channel.exit_status < 0:
        told = "it was killed" if transport.is_active() else "the connection broke"
        raise ChannelLost(f"no exit status: {told}")
    return CommandOutcome(channel.exit_status, _of_ours(outputs[0].data()), outputs[1].data())


def _of_ours(output: bytes) -> bytes:
    """The output without what the login shell said before our command began (a .bashrc that greets). Without a sign
    of it all of that is kept: it says why the command did not begin, or there was too much of it."""
    _, begun, ours = output.partition(f"{_BEGINS}\n".encode())
    return ours if begun else output


def _converse(channel: paramiko.Channel, line: str, chunks: Iterable[bytes], outputs: tuple[_Output, _Output]) -> None:
    import paramiko

    try:
        channel.exec_command(line)
    except (paramiko.SSHException, EOFError, OSError):
        return  # there is no exit status then, and the caller says so
    readers: list[threading.Thread] = []
    if _may_wait(channel, chunks):
        readers = [threading.Thread(target=output.read_all, daemon=True) for output in outputs]
    for reader in readers:
        reader.start()
    if _feed(channel, chunks):
        try:
            channel.shutdown_write()
        except (paramiko.SSHException, EOFError, OSError):
            channel.close()
    for reader in readers:
        reader.join()
    if not readers:
        _read_both(channel, *outputs)
    channel.status_event.wait()


def _read_both(channel: paramiko.Channel, stdout: _Output, stderr: _Output) -> None:
    """Read both outputs to their ends in this thread: most commands say little, and threads cost more than that."""
    channel.settimeout(GLANCE)
    while True:
        try:
            more = stdout.read()
        except TimeoutError:
            more = True
        # The far side waits for room that both share.
        while channel.recv_stderr_ready():
            stderr.read()
        if not more:
            break
    channel.settimeout(None)
    stderr.read_all()


def _may_wait(channel: paramiko.Channel, chunks: Iterable[bytes]) -> bool:
    """Whether feeding may wait for the far side, which may wait until what it says is read."""
    return not isinstance(chunks, tuple) or sum(map(len, chunks)) > channel.out_window_size


def _feed(channel: paramiko.Channel, chunks: Iterable[bytes]) -> bool:
    """Send the chunks; False when the command ended before it had read them all, which its status explains."""
    import paramiko

    for chunk in chunks:
        try:
            channel.sendall(chunk)
        except (paramiko.SSHException, EOFError, OSError):
            return False
    return True


class _Output:
    """One output as it comes in; its newest part is kept."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._kept: deque[bytes] = deque()
        self._size = 0

    def read(self) -> bool:
        """Read what is there, or wait for it. False at the end, and when the connection broke. Raises TimeoutError as
        the channel does."""
        import paramiko

        try:
            data = self._receive(PIECE)
        except TimeoutError:
            raise
        except (paramiko.SSHException, EOFError, OSError):
            return False
        if data:
            self._kept.append(data)
            self._size += len(data)
            while self._size - len(self._kept[0]) >= KEPT_OUTPUT:
                self._size -= len(self._kept.popleft())
        return bool(data)

    def read_all(self) -> None:
        while self.read():
            pass

    def data(self) -> bytes:
        return b"".join(tuple(self._kept))[-KEPT_OUTPUT:]


class _Watchdog:
    """Closes the channel when its time is up; and the connection, when even that doesn't free its user."""

    def __init__(self, transport: paramiko.Transport, channel: paramiko.Channel, timeout: float) -> None:
        self.struck = False
        self._transport = transport
        self._channel = channel
        self._guard = threading.Lock()
        self._stopped = False
        self._cancel = _DEADLINES.call_in(timeout, self._strike)

    def stop(self) -> None:
        with self._guard:
            self._stopped = True
            self._cancel()

    def _strike(self) -> None:
        with self._guard:
            if self._stopped:
                return
            self.struck = True
            self._cancel = _DEADLINES.call_in(SETTLING, self._strike_again)
        # A dead peer's full socket blocks this call too.
        threading.Thread(target=self._channel.close, daemon=True).start()

    def _strike_again(self) -> None:
        with self._guard:
            if self._stopped:
                return
        threading.Thread(target=self._transport.close, daemon=True).start()
