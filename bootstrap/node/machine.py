"""The machine that joins: its files and its units, changed only where they are not what they should be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bootstrap.constants.paths import APPLIED_FOLDER
from bootstrap.outside import in_lines
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.files import NodeFile

START_SECONDS = 1800


class Runs(Protocol):
    """What is started: a unit's name, and the digest of what it should run with."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...


@dataclass(frozen=True)
class Machine:
    """Where its file system is, and what is told to whom stands in front of it."""

    root: Path
    say: Callable[[str], None]

    def place(self, path: str) -> Path:
        """Where an absolute path of the machine is."""
        return self.root / path.lstrip("/")


def write(machine: Machine, file: NodeFile) -> bool:
    """Whether it had to be written. Whole or not at all: there are services that watch theirs."""
    place = machine.place(file.path)
    if place.exists() and place.read_bytes() == file.content and place.stat().st_mode & 0o7777 == file.mode:
        return False
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f"{place.name}.new")
    new.touch(mode=0o600)
    new.write_bytes(file.content)
    new.chmod(file.mode)
    new.rename(place)
    return True


def begin(units: Sequence[Runs], machine: Machine) -> None:
    """Begin to start what does not run, and to restart what runs with other settings."""
    for unit in units:
        applied, starting = (machine.place(f"{APPLIED_FOLDER}/{name}") for name in (unit.name, f".{unit.name}"))
        if _says(applied, unit) and active(unit.name):
            continue
        # A start that is under way with what it should run with would begin again: minutes on a small machine.
        if _says(starting, unit) and _state(unit.name).startswith("start"):
            continue
        applied.unlink(missing_ok=True)
        machine.say(f"starting {unit.name.removesuffix('.service')}")
        run("systemctl", "restart", "--no-block", unit.name)


def start(units: Sequence[Runs], machine: Machine) -> None:
    """As `begin`, and wait until they run."""
    begin(units, machine)
    for unit in units:
        try:
            # It waits for the start that is under way.
            run("systemctl", "start", unit.name, seconds=START_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = error.stderr or b""
            raise Failure(
                f"{unit.name} does not start",
                tried=f"systemctl start {unit.name}",
                got=(said if isinstance(said, str) else said.decode(errors="replace")).strip()[-300:] or str(error),
                hint=f"look at `journalctl -u {unit.name}`",
                passing=True,
            ) from None


def _says(digest: Path, unit: Runs) -> bool:
    return digest.exists() and digest.read_text().split()[:1] == [unit.digest]


def _state(unit: str) -> str:
    """systemd's SubState: start-pre, start and start-post while it starts. Source: org.freedesktop.systemd1(5)."""
    argv = ["systemctl", "show", "--property", "SubState", "--value", unit]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60).stdout.strip()


def active(unit: str) -> bool:
    return subprocess.run(["systemctl", "--quiet", "is-active", unit], check=False, timeout=60).returncode == 0


def run(*argv: str, seconds: float = 120) -> None:
    """Run a command. Raises CalledProcessError, TimeoutExpired."""
    subprocess.run(argv, check=True, capture_output=True, timeout=seconds)


def say(text: str) -> None:
    """Say something to whoever stands in front of the machine, or reads its journal: made safe for a terminal."""
    sys.stderr.write(f"{in_lines(text)}\n")
    sys.stderr.flush()
