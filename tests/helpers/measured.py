"""What a command uses, from the kernel."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of wall and CPU time of a process that ended well, its peak memory in MB, and what it said."""

    wall: float
    cpu: float
    memory: float
    said: str


def measured(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Used:
    """Run a command in `folder`; what it used is read by wait4(2). Raises RuntimeError where it fails."""
    began = time.monotonic()
    with subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} ended with exit code {process.returncode}:\n{said[-3000:]}")
    return Used(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)
