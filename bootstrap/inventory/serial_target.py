"""Which console, and how: what the inventory says about the line to a node."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

TELNET_PORT = 23
# A host name, an IPv4 address, or an IPv6 address in brackets.
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
URL_PATTERN = (
    rf"^(/.+|(socket|rfc2217)://{_HOST}:[0-9]+/?|telnet://{_HOST}(:[0-9]+)?/?|unix:/.+|(command|pipe):\s*\S.*)$"
)
URL_FORMS = (
    "/dev/ttyUSB0, socket://HOST:PORT, rfc2217://HOST:PORT, telnet://HOST[:PORT], unix:/PATH, "
    "or command: PROGRAM ARGUMENTS (pipe: for one that wants no terminal)"
)


class CarrierKind(StrEnum):
    """What carries a line."""

    DEVICE = "device"
    SOCKET = "socket"
    RFC2217 = "rfc2217"
    TELNET = "telnet"
    UNIX = "unix"
    COMMAND = "command"
    PIPE = "pipe"


class Parity(StrEnum):
    NONE = "none"
    EVEN = "even"
    ODD = "odd"


class Flow(StrEnum):
    """Who holds whom back: no one, two wires, or two characters (Ctrl-S and Ctrl-Q)."""

    NONE = "none"
    RTSCTS = "rtscts"
    XONXOFF = "xonxoff"


class LineEnding(StrEnum):
    """What Enter sends."""

    CR = "cr"
    LF = "lf"
    CRLF = "crlf"

    @property
    def sent(self) -> bytes:
        return {"cr": b"\r", "lf": b"\n", "crlf": b"\r\n"}[self.value]


@dataclass(frozen=True, slots=True)
class Carrier:
    """A console's URL taken apart: `place` is the path of a device or socket, `host` and `port` where the network leads
    there, `argv` a program's."""

    kind: CarrierKind
    place: str = ""
    host: str = ""
    port: int = 0
    argv: tuple[str, ...] = ()

    @property
    def has_speed(self) -> bool:
        """Whether the settings of the line are ours to make."""
        return self.kind in (CarrierKind.DEVICE, CarrierKind.RFC2217)

    @property
    def identity(self) -> str:
        """The same for every way of writing the same line on this machine."""
        if self.kind in (CarrierKind.DEVICE, CarrierKind.UNIX):
            return f"{self.kind.value} {Path(self.place).resolve()}"
        if self.host:
            # A console server's port is one line whichever protocol it is spoken to in.
            return f"network {self.host.lower()} {self.port}"
        return f"command {shlex.join(self.argv)}"


def carrier_of(url: str) -> Carrier:
    """The carrier that a console's URL names. Raises ValueError that names the forms there are."""
    if re.fullmatch(URL_PATTERN, url) is None:
        raise ValueError(URL_FORMS)
    if url.startswith("/"):
        return Carrier(CarrierKind.DEVICE, place=url)
    scheme, _, rest = url.partition(":")
    kind = CarrierKind(scheme)
    if kind is CarrierKind.UNIX:
        return Carrier(kind, place="/" + rest.lstrip("/"))
    if kind in (CarrierKind.COMMAND, CarrierKind.PIPE):
        try:
            argv = shlex.split(rest)
        except ValueError as error:
            raise ValueError(f"a command line that a shell could read ({error})") from None
        if not argv:
            raise ValueError("a program after the colon")
        return Carrier(kind, argv=tuple(argv))
    host, port = _host_and_port(rest.strip("/"))
    if not 1 <= port <= 65535:
        raise ValueError("a port from 1 to 65535")
    return Carrier(kind, host=host, port=port)


def _host_and_port(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    return host, int(port) if port else TELNET_PORT


@dataclass(frozen=True, slots=True)
class ConsoleTarget:
    """The console of one node as the inventory says it.

    `baud` in bits a second; it, `data_bits`, `parity`, `stop_bits` and `flow` are set where the line has them (devices
    and rfc2217). `user` logs in with `password`; `root_password` is for su, where `user` has no sudo. `log`
    is the file that keeps everything that is read; None keeps nothing.
    """

    node: str
    url: str
    baud: int = 115200
    data_bits: int = 8
    parity: Parity = Parity.NONE
    stop_bits: int = 1
    flow: Flow = Flow.NONE
    line_ending: LineEnding = LineEnding.CR
    user: str = "root"
    password: Callable[[], str] | None = field(default=None, repr=False)
    root_password: Callable[[], str] | None = field(default=None, repr=False)
    log: Path | None = None

    @property
    def carrier(self) -> Carrier:
        """Raises ValueError where `url` is none."""
        return carrier_of(self.url)

    @property
    def described(self) -> str:
        """What a person calls the line, with its speed where that is ours to set: "/dev/ttyUSB0 at 115200"."""
        return f"{self.url} at {self.baud}" if self.carrier.has_speed else self.url
