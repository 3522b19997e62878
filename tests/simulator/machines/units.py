"""systemd on a simulated machine: which units were started, which run, and the digest that each was started with."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bootstrap.constants.paths import UNIT_FOLDER

_READ = re.compile(r"sha256sum (.+?) 2>/dev/null \| sha256sum")
_WANTS = re.compile(r"^Wants=(.*)$", re.MULTILINE)


@dataclass
class Run:
    """A unit that was started: `applied` is the digest that it runs with, None while it does not run (yet)."""

    applied: str | None = None
    since: int = 0
    why_not: str = ""


@dataclass
class Systemd:
    """The units of one machine. `read` gives a file's content or None; `begins` is asked before a unit runs: None where
    it may, or why it does not come up; `ends` is told when a unit has been stopped, also on its
    way."""

    read: Callable[[str], bytes | None]
    begins: Callable[[str], str | None]
    ends: Callable[[str], None]
    runs: dict[str, Run] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a unit, and what it wants, where it does not run."""
        if name in self.runs or not self._known(name):
            return
        self.runs[name] = Run()
        for wanted in self._wants(name):
            self.start(wanted)

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)

    def stop(self, name: str) -> None:
        # One that was on its way may have begun to serve, as an etcd without a leader does.
        if self.runs.pop(name, None) is not None:
            self.ends(name)

    def stop_all(self) -> None:
        for name in list(self.runs):
            self.stop(name)

    def go_on(self) -> bool:
        """Let the units begin that can. Returns whether one did."""
        changed = False
        for name, run in list(self.runs.items()):
            if run.applied is not None:
                continue
            run.why_not = self.begins(name) or ""
            if not run.why_not:
                run.applied, run.since = self._digest(name), time.monotonic_ns() // 1000
                changed = True
        return changed

    def active(self, name: str) -> bool:
        return name in self.runs and self.runs[name].applied is not None

    def state(self, name: str) -> str:
        """systemd's ActiveState."""
        if name not in self.runs:
            return "inactive"
        return "active" if self.active(name) else "activating"

    def digest(self, name: str) -> str:
        """What the node left under /run/clusterup/applied; "" where it left nothing."""
        return (self.runs[name].applied if name in self.runs else None) or ""

    def start_wanted(self, target: Iterable[bytes]) -> None:
        """What the files of a target want, as at boot."""
        for content in target:
            for name in _words(content):
                self.start(name)

    def _digest(self, name: str) -> str:
        found = _READ.search((self.read(f"{UNIT_FOLDER}/{name}") or b"").decode())
        paths = found[1].split() if found else []
        there = [(path, content) for path in paths if (content := self.read(path)) is not None]
        said = "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in there)
        return hashlib.sha256(said.encode()).hexdigest()

    def _known(self, name: str) -> bool:
        return self.read(f"{UNIT_FOLDER}/{name}") is not None

    def _wants(self, name: str) -> list[str]:
        return _words(self.read(f"{UNIT_FOLDER}/{name}") or b"")


def _words(content: bytes) -> list[str]:
    return [word for line in _WANTS.findall(content.decode()) for word in line.split() if word.endswith(".service")]
