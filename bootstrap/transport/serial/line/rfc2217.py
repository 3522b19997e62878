"""A serial port of a console server whose settings are ours (RFC 2217).

Not pyserial's client: it negotiates all settings again whenever the time-out of a read changes, and gives up a write
that a slow line holds back for five seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bootstrap.inventory.serial_target import ConsoleTarget, Flow, Parity
from bootstrap.transport.serial.errors import console_failed, line_lost
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.line.telnet import COM_PORT, DO, WILL, ReadAhead, Telnet, TelnetLine, agree, read_until

SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL, PURGE_DATA = 1, 2, 3, 4, 5, 12
SUSPEND, RESUME = 108, 109
ANSWERED = 100
"""What the server adds to the number of what it answers."""
(
    BREAK_ON,
    BREAK_OFF,
    DTR_ON,
    RTS_ON,
) = 5, 6, 8, 11
PURGE_ALL = 3
BREAK_SECONDS = 0.25
PIECE = 1024
LONGEST_SUSPENSION = 60.0
_PARITIES = {Parity.NONE: 1, Parity.ODD: 2, Parity.EVEN: 3}
_FLOWS = {Flow.NONE: 1, Flow.XONXOFF: 2, Flow.RTSCTS: 3}


def open_rfc2217(target: ConsoleTarget, connection: Line, seconds: float) -> Line:
    """The port with the target's settings; `seconds` bounds the negotiation. Raises ConsoleFailed where the server
    doesn't speak RFC 2217 or refuses a setting, LineLost."""
    answers: dict[tuple[int, int], bytes] = {}
    allowed = threading.Event()
    allowed.set()

    def told(option: int, value: bytes) -> None:
        if option != COM_PORT or not value:
            return
        if value[0] == SUSPEND:
            allowed.clear()
        elif value[0] == RESUME:
            allowed.set()
        else:
            # The controls share one number: each is answered under its own value.
            answers[value[0], value[1] if value[0] == SET_CONTROL + ANSWERED and len(value) > 1 else 0] = value[1:]

    telnet = Telnet(told, frozenset({COM_PORT}))
    end = time.monotonic() + seconds
    telnet.ask(WILL, COM_PORT)
    telnet.ask(DO, COM_PORT)

    def answered() -> bool:
        # Servers differ in which of the two they accept; either will do.
        return True in (telnet.ours.get(COM_PORT), telnet.theirs.get(COM_PORT)) or (
            COM_PORT in telnet.ours and COM_PORT in telnet.theirs
        )

    line, ahead = agree(connection, telnet, answered, seconds)
    if True not in (telnet.ours.get(COM_PORT), telnet.theirs.get(COM_PORT)):
        raise console_failed(
            target,
            "the console server does not speak RFC 2217 on this port",
            got="it refuses COM-PORT-OPTION" if answered() else f"no answer to COM-PORT-OPTION within {seconds:.0f} s",
            hint="write telnet:// or socket:// in console.url, and set the speed on the console server",
        )
    ahead += _set(target, line, answers, end)
    return _Port(target, ReadAhead(line, ahead), line, allowed)


def _set(target: ConsoleTarget, line: TelnetLine, answers: dict[tuple[int, int], bytes], end: float) -> bytes:
    flow = _FLOWS[target.flow]
    wanted: tuple[tuple[str, int, bytes], ...] = (
        ("baud", SET_BAUDRATE, target.baud.to_bytes(4, "big")),
        ("data_bits", SET_DATASIZE, bytes((target.data_bits,))),
        ("parity", SET_PARITY, bytes((_PARITIES[target.parity],))),
        ("stop_bits", SET_STOPSIZE, bytes((target.stop_bits,))),
        ("flow", SET_CONTROL, bytes((flow,))),
    )
    for _, command, value in wanted:
        line.send_subnegotiation(COM_PORT, bytes((command,)) + value)
    for control in (DTR_ON, RTS_ON):
        line.send_subnegotiation(COM_PORT, bytes((SET_CONTROL, control)))

    def answer(command: int) -> bytes | None:
        return answers.get((command + ANSWERED, flow if command == SET_CONTROL else 0))

    # Some servers say 1 for every control, whatever was asked: what a control came to is not held against them.
    strict = [one for one in wanted if one[1] != SET_CONTROL]
    ahead = read_until(line, _all(lambda: [answer(command) for _, command, _ in strict]), end - time.monotonic())
    for name, command, value in strict:
        got = answer(command)
        if got is None or got[: len(value)] != value:
            raise console_failed(
                target,
                f"the console server does not set {name} as asked",
                tried=f"{name} {int.from_bytes(value, 'big')} on {target.described}",
                got="no answer" if got is None else f"it says {int.from_bytes(got[: len(value)], 'big')}",
                hint=f"choose a console.{name} that it can, or set the port on the console server and use telnet://",
            )
    return ahead


def _all(values: Callable[[], list[bytes | None]]) -> Callable[[], bool]:
    return lambda: None not in values()


class _Port:
    """A Line that sends only while the server lets it, and that has a break condition of its own."""

    def __init__(self, target: ConsoleTarget, reading: Line, telnet: TelnetLine, allowed: threading.Event) -> None:
        self._target = target
        self._reading = reading
        self._telnet = telnet
        self._allowed = allowed

    @property
    def described(self) -> str:
        return self._reading.described

    def read(self, seconds: float) -> bytes:
        return self._reading.read(seconds)

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            # Whoever reads meets the message that lets us go on.
            if not self._allowed.wait(LONGEST_SUSPENSION):
                raise line_lost(
                    self._target.node,
                    self.described,
                    f"the console server takes nothing since {LONGEST_SUSPENSION:.0f} s (FLOWCONTROL-SUSPEND)",
                )
            self._telnet.write(data[start : start + PIECE])

    def send_break(self) -> None:
        self._telnet.send_subnegotiation(COM_PORT, bytes((SET_CONTROL, BREAK_ON)))
        time.sleep(BREAK_SECONDS)
        self._telnet.send_subnegotiation(COM_PORT, bytes((SET_CONTROL, BREAK_OFF)))

    def close(self) -> None:
        self._telnet.close()
        # Whoever waits to write finds the line closed.
        self._allowed.set()
