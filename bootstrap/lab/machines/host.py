"""What the machine has to give that a lab runs on."""

from __future__ import annotations

import re
from pathlib import Path


def available_memory() -> int:
    """Memory that can be given to new programs without swapping, in MiB (MemAvailable of proc(5))."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0
