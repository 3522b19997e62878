"""From what the inventory says about a console to an open line."""

from __future__ import annotations

from bootstrap.errors import BadUse
from bootstrap.inventory.serial_target import CarrierKind, ConsoleTarget
from bootstrap.transport.errors import LineLost
from bootstrap.transport.serial.errors import STEP, console_failed
from bootstrap.transport.serial.line.base import Line, ThroughLine
from bootstrap.transport.serial.line.lock import Claim, claim_line
from bootstrap.transport.serial.line.log import ConsoleLog, LoggedLine

CONNECT_SECONDS = 20.0


def open_line(target: ConsoleTarget, doing: str = "at work on it", *, timeout: float = CONNECT_SECONDS) -> Line:
    """Open the line to a node's console, for this process alone among those of clusterup on this machine; what is read
    on it is kept in the target's log.

    `doing` is what others are told who want the line meanwhile; `timeout` (seconds) bounds connecting and negotiating,
    each. Raises LineInUse, ConsoleFailed when it can't be opened, BadUse when the target's URL is none.
    """
    try:
        target.carrier  # noqa: B018
    except ValueError as error:
        raise BadUse(
            f"{target.url!r} names no console", node=target.node, step=STEP, hint=f"write {error} (console.url)"
        ) from None
    claim = claim_line(target, doing)
    try:
        line = _opened(target, timeout)
    except BaseException:
        claim.release()
        raise
    held = HeldLine(line, claim)
    return LoggedLine(held, ConsoleLog(target.log)) if target.log else held


def _opened(target: ConsoleTarget, timeout: float) -> Line:
    # Each brings a library or two with it.
    match target.carrier.kind:
        case CarrierKind.DEVICE:
            from bootstrap.transport.serial.line.device import open_device

            return open_device(target)
        case CarrierKind.COMMAND | CarrierKind.PIPE:
            from bootstrap.transport.serial.line.program import open_program

            return open_program(target)
        case CarrierKind.UNIX:
            from bootstrap.transport.serial.line.sockets import open_unix

            return open_unix(target, timeout)
    return _over_tcp(target, timeout)


def _over_tcp(target: ConsoleTarget, timeout: float) -> Line:
    from bootstrap.transport.serial.line.rfc2217 import open_rfc2217
    from bootstrap.transport.serial.line.sockets import open_tcp
    from bootstrap.transport.serial.line.telnet import open_telnet

    connection = open_tcp(target, timeout)
    try:
        match target.carrier.kind:
            case CarrierKind.RFC2217:
                return open_rfc2217(target, connection, timeout)
            case CarrierKind.TELNET:
                return open_telnet(connection)
        return connection
    except LineLost as error:
        connection.close()
        raise console_failed(
            target,
            "the console server took the connection and closed it again",
            got=error.got or "",
            hint="the port may be in use by somebody else: look at the console server's sessions",
        ) from None
    except BaseException:
        connection.close()
        raise


class HeldLine(ThroughLine):
    """A Line that lets go of its claim when it is closed."""

    def __init__(self, line: Line, claim: Claim) -> None:
        super().__init__(line)
        self._claim = claim
        self._open = True

    def close(self) -> None:
        super().close()
        if self._open:
            self._open = False
            self._claim.release()
