"""One at a time: what those are told who come second, and the lock beside the state."""

from __future__ import annotations

import fcntl
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.errors import Interrupted, Refused
from bootstrap.paths import private_folder
from bootstrap.protocol.holder import Holder, holder_in_words
from bootstrap.protocol.lease_lock import Busy

LOOK_EVERY_SECONDS = 1.0
FOREVER = math.inf


@dataclass(frozen=True)
class Patience:
    """How long somebody waits for a lock: at most `seconds`, told through `say` for whom, until `abort` is set. `hint`
    says what to do when it was too short."""

    seconds: float = 0.0
    say: Callable[[str], object] = lambda _: None
    abort: threading.Event = field(default_factory=threading.Event)
    hint: str = "wait until it has ended, then run this again"


def wait_for_turn(attempt: Callable[[], Busy | None], patience: Patience, doing: str) -> None:
    """Try `attempt` until it has the lock (None). Raises Refused that says who holds it when patience is at its end,
    and Interrupted when it is aborted."""
    begun = time.monotonic()
    told = ""
    while (busy := attempt()) is not None:
        left = begun + patience.seconds - time.monotonic()
        if left <= 0:
            raise Refused(
                "another clusterup is at work on this cluster",
                step="lock",
                tried=doing + (f", after waiting {patience.seconds:.0f} s" if patience.seconds else ""),
                got=str(busy),
                hint=patience.hint,
            )
        if busy.holder != told:
            patience.say(f"waiting for the lock, held by {busy}")
            told = busy.holder
        if patience.abort.wait(min(LOOK_EVERY_SECONDS, left)):
            raise Interrupted("stopped while waiting for the lock", step="lock", got=str(busy), hint=patience.hint)


@contextmanager
def file_lock(path: Path, doing: str, patience: Patience | None = None) -> Iterator[None]:
    """Hold the lock at `path` while doing something. Raises Refused that says who holds it, since when and why, after
    as much `patience` as there is (none, where it is not given).

    The kernel lets go of it when the holder ends (flock(2)): there is no stale lock to remove.
    """
    private_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def attempt() -> Busy | None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Busy(holder_in_words(os.pread(handle, 4096, 0)))
        return None

    try:
        wait_for_turn(attempt, patience or Patience(), doing)
        os.ftruncate(handle, 0)
        os.pwrite(handle, Holder.now(doing).note(), 0)
        yield
    finally:
        os.close(handle)
