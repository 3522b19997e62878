"""One clusterup of this machine at a time on one line; whoever comes second is told who is first, and what it reads."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.locks import is_held
from bootstrap.outside import parsed_json
from bootstrap.paths import private_folder, state_dir
from bootstrap.protocol.holder import Holder, holder_in_words
from bootstrap.transport.serial.errors import LineInUse

LOG = "log"


@dataclass(frozen=True, slots=True)
class Claim:
    """A line is ours until `release`, or until this process ends (flock(2))."""

    handle: int

    def release(self) -> None:
        os.close(self.handle)


def claim_line(target: ConsoleTarget, doing: str) -> Claim:
    """Hold the target's line; `doing` is what others are told. Raises LineInUse that names the holder."""
    path = _lock_file(target)
    private_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        note = json.loads(Holder.now(doing).note()) | {LOG: str(target.log) if target.log else ""}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(note).encode(), 0)
    except BlockingIOError:
        note_of_other = os.pread(handle, 4096, 0)
        os.close(handle)
        raise LineInUse(target, holder_in_words(note_of_other), _log_of(note_of_other)) from None
    except BaseException:
        os.close(handle)
        raise
    return Claim(handle)


def is_claimed(target: ConsoleTarget) -> bool:
    """Whether a clusterup of this machine holds the line now."""
    try:
        return is_held(_lock_file(target))
    except FileNotFoundError:
        return False


def _lock_file(target: ConsoleTarget) -> Path:
    name = hashlib.sha256(target.carrier.identity.encode()).hexdigest()[:16]
    return state_dir() / "lines" / f"{name}.lock"


def _log_of(note: bytes) -> Path | None:
    try:
        fields: dict[str, Any] = parsed_json(note)
        return Path(fields[LOG]) if fields.get(LOG) else None
    except (ValueError, TypeError, AttributeError):
        return None
