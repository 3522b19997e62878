"""A serial device of this machine (termios(3)), opened by pyserial."""

from __future__ import annotations

import errno
import grp
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.inventory.serial_target import ConsoleTarget, Flow, Parity
from bootstrap.transport.serial.errors import ConsoleFailed, console_failed
from bootstrap.transport.serial.line.base import Line
from bootstrap.transport.serial.line.descriptor import DescriptorLine

if TYPE_CHECKING:
    import serial

BREAK_SECONDS = 0.25
LOCK_FOLDERS = (Path("/run/lock"), Path("/var/lock"))
_PARITIES = {Parity.NONE: "N", Parity.EVEN: "E", Parity.ODD: "O"}


def open_device(target: ConsoleTarget) -> Line:
    """The device, locked for us alone (flock(2), TIOCEXCL), with the target's settings. Raises ConsoleFailed."""
    import serial

    path = Path(target.carrier.place)
    _look(target, path)
    if (holder := lock_file_holder(path)) is not None:
        raise _busy(target, holder)
    try:
        port = serial.Serial(
            str(path),
            baudrate=target.baud,
            bytesize=target.data_bits,
            parity=_PARITIES[target.parity],
            stopbits=target.stop_bits,
            rtscts=target.flow is Flow.RTSCTS,
            xonxoff=target.flow is Flow.XONXOFF,
            timeout=0,
            exclusive=True,
        )
    except (serial.SerialException, OSError, ValueError) as error:
        raise _not_opened(target, path, error) from None
    descriptor = port.fileno()
    return DescriptorLine(target.node, target.described, (descriptor, descriptor), _Port(port, path))


class _Port:
    def __init__(self, port: serial.Serial, path: Path) -> None:
        self._port = port
        self._path = path

    def ended(self, error: OSError | None) -> str:
        if not self._path.exists():
            return f"{self._path} is gone: the adapter was unplugged"
        return error.strerror or str(error) if error else "the device was hung up"

    def send_break(self) -> None:
        self._port.send_break(BREAK_SECONDS)

    def close(self) -> None:
        self._port.close()


def lock_file_holder(path: Path, folders: tuple[Path, ...] = LOCK_FOLDERS) -> str | None:
    """The process that a lock file of the device names, as minicom and others make them (Filesystem Hierarchy Standard
    3.0, 5.9.2: LCK..ttyUSB0); None where no one alive does."""
    for folder in folders:
        try:
            pid = int((folder / f"LCK..{path.resolve().name}").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            continue
        if (name := _process(pid)) is not None:
            return name
    return None


def _look(target: ConsoleTarget, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        there = sorted(str(found) for pattern in ("ttyUSB*", "ttyACM*") for found in Path("/dev").glob(pattern))
        raise console_failed(
            target,
            f"there is no device {path}",
            got="there are " + ", ".join(there) if there else "no USB serial adapter is there",
            hint="is the adapter plugged in? A name below /dev/serial/by-id stays the same; write it as console.url",
        ) from None
    except OSError as error:
        raise console_failed(
            target, f"{path} can't be looked at", got=error.strerror or str(error), hint="correct console.url"
        ) from None
    if not stat.S_ISCHR(mode):
        raise console_failed(
            target,
            f"{path} is not a serial device",
            got=stat.filemode(mode),
            hint="name the device (console.url); a socket is written as unix:/PATH",
        )


def _not_opened(target: ConsoleTarget, path: Path, error: Exception) -> ConsoleFailed:
    number = getattr(error, "errno", None)
    said = os.strerror(number) if number else str(error)
    if number in (errno.EACCES, errno.EPERM):
        group = _group(path)
        return console_failed(
            target,
            f"you may not open {path}",
            got=said,
            hint=f"add yourself to group {group} (sudo usermod -aG {group} $USER), then log out and in again",
        )
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusive" in str(error).lower():
        return _busy(target, ", ".join(holders(path)) or said)
    settings = f"{target.baud} {target.data_bits}{_PARITIES[target.parity]}{target.stop_bits}"
    return console_failed(
        target,
        f"{path} can't be used as a serial line at {settings}",
        got=said,
        hint="is it a serial device, and can it do this speed (console.url, console.baud)?",
    )


def _busy(target: ConsoleTarget, holder: str) -> ConsoleFailed:
    return console_failed(
        target,
        f"{target.carrier.place} is in use by another program",
        got=holder,
        hint="end that program (minicom, screen, picocom, a getty, ModemManager), then try again",
    )


def holders(path: Path) -> tuple[str, ...]:
    """The processes that have the device open, as far as we may see."""
    device = path.resolve()
    found: dict[int, str] = {}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        pid = int(link.parts[2])
        if pid in found or pid == os.getpid():
            continue
        try:
            same = link.readlink() == device
        except OSError:
            continue
        if same and (name := _process(pid)) is not None:
            found[pid] = name
    return tuple(found.values())


def _process(pid: int) -> str | None:
    try:
        return f"process {pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return None


def _group(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"
