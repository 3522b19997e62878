"""From a hop to an SSH transport whose host key is the right one: TCP, handshake, host key."""

from __future__ import annotations

import logging
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootstrap.errors import ClusterupError, Refused
from bootstrap.pki.sshkeys import fingerprint
from bootstrap.transport.errors import HostKeyMismatch, TransportError
from bootstrap.transport.hostkeys import HostKeys
from bootstrap.transport.knownhosts import known_keys
from bootstrap.transport.target import Hop

if TYPE_CHECKING:
    import paramiko

Trust = Callable[[str, str, dict[str, str]], str | None]
"""Asked with (name, presented public key line, pins) when nothing is pinned for the name: returns the kind to
pin the key as, or None to refuse it."""

KEEPALIVE = 15.0
"""Seconds between signs of life, so that firewalls and NAT keep the connection."""
UNANSWERED = 120_000
"""Milliseconds after which data that no one acknowledges ends the connection (TCP_USER_TIMEOUT, tcp(7))."""
_LOADING = threading.Lock()
RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")
GIVEN = "given"
PAUSES = (0.3, 0.6, 1.2, 2.4)
"""Seconds before a server is asked again that dropped the connection at once; each more or less by half."""


TOO_BUSY = (b"Exceeded MaxStartups", b"Not allowed at this time")
"""What sshd says instead of its name to those whom it drops (8.5 and newer, 9.8 and newer)."""


class DroppedAtOnce(TransportError):
    """The server closed the connection before it said anything."""


@dataclass(frozen=True, slots=True)
class Greeted:
    """A transport after the handshake: its presented host key and the kind of the pin that it matched."""

    transport: paramiko.Transport
    host_key: str
    host_key_kind: str


def load_paramiko() -> None:
    """Import Paramiko without Invoke, which it has for `Match exec` of ssh_config(5) alone and which imports a lot:
    that is refused here. Its own log (tracebacks among it) is kept from the terminal: errors are raised anyway."""
    with _LOADING:
        if "paramiko" not in sys.modules and "invoke" not in sys.modules:
            # None in its place is how the import is told that there is no such module.
            sys.modules["invoke"] = None  # type: ignore[assignment]
            try:
                import paramiko  # noqa: F401
            finally:
                del sys.modules["invoke"]
    logger = logging.getLogger("paramiko")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False


def greet(hop: Hop, through: paramiko.Transport | None, host_keys: HostKeys, trust: Trust, timeout: float) -> Greeted:
    """Connect to a hop, directly or through the one before it, and check its host key. One that drops the connection
    before it has said anything, as a busy sshd does (MaxStartups), is asked a few times more.

    `timeout` (seconds) bounds the connection and the handshake, each. Raises TransportError, HostKeyMismatch,
    or Refused when `trust` refuses the key.
    """
    for pause in (*PAUSES, None):
        try:
            return _greeted(hop, through, host_keys, trust, timeout)
        except DroppedAtOnce:
            if pause is None:
                raise
            # A crowd that was dropped together must not come back together.
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311
    raise AssertionError("the last try raises or returns")


def _greeted(
    hop: Hop, through: paramiko.Transport | None, host_keys: HostKeys, trust: Trust, timeout: float
) -> Greeted:
    pins = {GIVEN: hop.host_key} if hop.host_key else host_keys.pinned(hop.pin_name)
    sock = _dial(hop, timeout) if through is None else _channel(hop, through, timeout)
    try:
        transport = _handshake(hop, sock, pins, timeout)
    except BaseException:
        sock.close()
        raise
    try:
        key = transport.get_remote_server_key()
        line = f"{key.get_name()} {key.get_base64()}"
        kind = _checked(hop, line, pins, host_keys, trust)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(int(KEEPALIVE))
    return Greeted(transport, line, kind)


def _dial(hop: Hop, timeout: float) -> socket.socket:
    try:
        sock = socket.create_connection((hop.host, hop.port), timeout)
    except socket.gaierror as error:
        raise _no_way(
            hop,
            f"the name {hop.host} is not known",
            got=error.strerror,
            hint="correct the name, or write the address (ssh.host); check the name server of this machine",
        ) from None
    except TimeoutError:
        raise _no_way(
            hop,
            f"{hop.host} did not answer on port {hop.port} within {timeout:.0f} s",
            got="no answer",
            hint="is the machine on, is this its address, and does no firewall stand between?",
        ) from None
    except ConnectionRefusedError:
        raise _no_way(
            hop,
            f"{hop.host} is there, but nothing listens on port {hop.port}",
            got="connection refused",
            hint="if it is still starting, wait and try again; otherwise correct the port (ssh.port) or start sshd",
        ) from None
    except OSError as error:
        raise _no_way(
            hop,
            f"{hop.host} can't be reached",
            got=error.strerror or str(error),
            hint="check this machine's network, routes and VPN, and the node's address",
        ) from None
    _check_it_speaks(hop, sock, timeout)
    # Without it every command waits 40 ms for the other side's delayed acknowledgement.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    if user_timeout is not None:
        sock.setsockopt(socket.IPPROTO_TCP, user_timeout, UNANSWERED)
    return sock


def _check_it_speaks(hop: Hop, sock: socket.socket, timeout: float) -> None:
    """A server speaks first (RFC 4253, section 4.2). Raises DroppedAtOnce where it hangs up instead, or says that it is
    too busy. One that is silent is waited for later."""
    sock.settimeout(timeout)
    try:
        first = sock.recv(64, socket.MSG_PEEK)
    except TimeoutError:
        return
    except OSError as error:
        first, got = b"", error.strerror or str(error)
    else:
        got = first.decode("ascii", "replace").strip() or "the connection was closed"
    if first and not first.startswith(TOO_BUSY):
        return
    sock.close()
    raise DroppedAtOnce(
        f"{hop.host} drops connections to port {hop.port} before it says anything",
        node=hop.node,
        step="connect",
        tried=f"an SSH connection to {hop.described}, {len(PAUSES) + 1} times",
        got=got,
        hint="if many connect at once, its sshd takes too few (MaxStartups); if it is still starting, wait; otherwise "
        "make sure that this is its SSH port (ssh.port)",
    )


def _channel(hop: Hop, through: paramiko.Transport, timeout: float) -> paramiko.Channel:
    import paramiko

    try:
        return through.open_channel("direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=timeout)
    except (paramiko.SSHException, EOFError, OSError) as error:
        refusal = error.text if isinstance(error, paramiko.ChannelException) else str(error)
        raise _no_way(
            hop,
            f"the jump host can't reach {hop.host} port {hop.port}",
            got=refusal or type(error).__name__,
            hint="is the machine on, and is this its address as seen from the jump host? "
            "Does the jump host allow forwarding (AllowTcpForwarding)?",
        ) from None


def _handshake(
    hop: Hop, sock: socket.socket | paramiko.Channel, pins: dict[str, str], timeout: float
) -> paramiko.Transport:
    import paramiko

    try:
        transport = paramiko.Transport(sock)
        options = transport.get_security_options()
        bare_first = sorted(pins, key=lambda kind: kind == "installed")
        known = tuple(pins[kind] for kind in bare_first) or known_keys(hop.host, hop.port)
        options.key_types = preferred_key_types(tuple(options.key_types), known)
        options.ciphers = preferred_ciphers(tuple(options.ciphers))
        # Ours is the time-out that speaks; Paramiko's own ones only have to come later.
        transport.banner_timeout = transport.handshake_timeout = timeout + 5
        done = threading.Event()
        transport.start_client(event=done)
        finished = done.wait(timeout)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _not_ssh(hop, error) from None
    if finished and transport.is_active():
        return transport
    problem = transport.get_exception()
    transport.close()
    if not finished:
        raise _no_way(
            hop,
            f"{hop.host} took the connection on port {hop.port} and then said nothing for {timeout:.0f} s",
            got="no SSH greeting",
            hint="if it is still starting, wait and try again; if it is only slow, let it be silent for longer "
            "(ssh.silence); otherwise make sure that this is its SSH port (ssh.port)",
        )
    raise _not_ssh(hop, problem or EOFError("the connection was closed"))


def preferred_key_types(offered: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The host key algorithms with those of the known keys first, in the order of these: a server of several shows the
    one that can be compared. That of the installed system, which has one key, comes after those of bare machines."""
    wanted: list[str] = []
    for line in known:
        name = line.split(maxsplit=1)[0]
        wanted += RSA_SIGNATURES if name == "ssh-rsa" else (name,)
    first = tuple(name for name in dict.fromkeys(wanted) if name in offered)
    return first + tuple(name for name in offered if name not in first)


def _checked(hop: Hop, line: str, pins: dict[str, str], host_keys: HostKeys, trust: Trust) -> str:
    for kind, pinned in pins.items():
        if pinned == line:
            return kind
    shown = f"{line.split(maxsplit=1)[0]} {fingerprint(line)}"
    if pins:
        known = ", ".join(f"{kind} {pin.split(maxsplit=1)[0]} {fingerprint(pin)}" for kind, pin in sorted(pins.items()))
        raise HostKeyMismatch(
            f"{hop.described} shows another host key than the pinned one; nothing was sent to it",
            node=hop.node,
            step="connect",
            tried=f"pinned is {known}",
            got=f"shown was {shown}",
            hint="if the machine was replaced or newly installed on purpose, "
            + (
                "correct its host_key in the inventory"
                if hop.host_key
                else f"remove {hop.pin_name!r} from {host_keys.path}"
            )
            + " and try again; if not, find out who answers at that address",
        )
    try:
        accepted = trust(hop.pin_name, line, pins)
    except HostKeyMismatch as error:
        # known_hosts knows hosts alone: a person has to hear which node is behind this one.
        error.node = error.node or hop.node
        raise
    if accepted is None:
        raise Refused(
            f"the host key of {hop.described} is not known and was not accepted; nothing was sent to it",
            node=hop.node,
            step="connect",
            got=shown,
            hint="compare it with the one on the machine's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), "
            "then accept it, or write it as ssh.host_key",
        )
    host_keys.pin(hop.pin_name, accepted, line)
    return accepted


def _no_way(hop: Hop, problem: str, *, got: str | None, hint: str) -> ClusterupError:
    return TransportError(
        problem, node=hop.node, step="connect", tried=f"an SSH connection to {hop.described}", got=got, hint=hint
    )


def _not_ssh(hop: Hop, error: BaseException) -> ClusterupError:
    got = str(error) or type(error).__name__
    if "ncompatible" in got or "no acceptable" in got:
        return _no_way(
            hop,
            f"{hop.host} and clusterup have no algorithm in common: its SSH server is old",
            got=got,
            hint="update its sshd: those that know SHA-1 alone (before OpenSSH 7.2) are not spoken to",
        )
    return _no_way(
        hop,
        f"{hop.host} answers on port {hop.port}, but no SSH connection comes about",
        got=got,
        hint="make sure that this is its SSH port (ssh.port); if it is still starting, wait and try again",
    )


def preferred_ciphers(offered: tuple[str, ...]) -> tuple[str, ...]:
    """The ciphers with AES-GCM first (RFC 5647): it needs no second pass for a MAC, which is a sixth of the time that
    a slow node needs to take an image."""
    return tuple(sorted(offered, key=lambda name: "gcm" not in name))
