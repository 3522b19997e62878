"""The journal: one JSON line for everything that happened, progress apart. Each line says of which run it is."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from pathlib import Path

from bootstrap.engine.events import ActionProgress, Event, event_as_data
from bootstrap.errors import ClusterupError
from bootstrap.locks import is_held
from bootstrap.paths import private_folder

ROTATE_ABOVE_BYTES = 32 << 20


def new_run_id() -> str:
    """A name for a run that no other run has."""
    return secrets.token_hex(4)


def rotated(path: Path) -> Path:
    """Where the journal at `path` goes when it has become too long."""
    return path.with_name(f"{path.name}.1")


class Journal:
    """Appends the events of one run to a file that only its owner reads. An observer; safe between threads.

    A file that is longer than `rotate_above` bytes is put aside first; what was put aside before is gone then. Runs
    write one after the other: the caller holds the cluster's lock. A journal that can't be written any more stops
    no one: `trouble` says why lines are missing. Raises ClusterupError when it can't be opened at all.
    """

    def __init__(self, path: Path, run: str, *, rotate_above: int = ROTATE_ABOVE_BYTES) -> None:
        self.trouble: str | None = None
        self._run = run
        self._lock = threading.Lock()
        try:
            private_folder(path.parent)
            if path.exists() and path.stat().st_size > rotate_above:
                path.replace(rotated(path))
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            # Readers see by this lock that the run is alive; the kernel lets go of it when the process ends (flock(2)).
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        except OSError as error:
            raise ClusterupError(
                "the journal can't be written",
                step="journal",
                tried=f"open {path}",
                got=error.strerror,
                hint="make room there, or make the folder yours",
            ) from None
        self._whole = _ends_whole(self._handle)

    def __call__(self, event: Event) -> None:
        if isinstance(event, ActionProgress):
            return
        line = json.dumps({**event_as_data(event), "run": self._run}, sort_keys=True).encode() + b"\n"
        with self._lock:
            # A line that was cut would take the next one with it.
            rest = line if self._whole else b"\n" + line
            try:
                while rest:
                    self._whole = False
                    rest = rest[os.write(self._handle, rest) :]
                self._whole = True
            except OSError as error:
                self.trouble = error.strerror or str(error)

    def close(self) -> None:
        os.close(self._handle)


def being_written(path: Path) -> bool:
    """Whether a run writes to the journal at `path` now."""
    try:
        return is_held(path)
    except OSError:
        return False


def _ends_whole(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return size == 0 or os.pread(handle, 1, size - 1) == b"\n"
