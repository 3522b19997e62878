"""Which machine of a lab gets its turn first, where there are more machines than processors."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from bootstrap.lab.spec import Accel, Lab

# A third of the processor time that the first server gets while both want it (sched(7), setpriority(2)).
LATER = 5
# A user may change a group's place ten times a second.
TRIES = 50
PAUSE = 0.1


def rank(lab: Lab, node: str) -> int:
    """The nice value of a machine: emulated ones come after the first server, for whose cluster all of them wait."""
    return LATER if lab.accel is Accel.TCG and node != lab.servers[0].name else 0


def come_after(pid: int, nice: int) -> None:
    """Give all threads of a process the nice value, and its session as well: a kernel that schedules by session
    looks at that one first (autogroup, sched(7)). A process that has ended is left alone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists():
            _write(group, str(nice))


def _write(group: Path, nice: str) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            group.write_text(nice)
            return
        except BlockingIOError:
            if attempt == TRIES:
                raise
            time.sleep(PAUSE)
