"""What the machine has to give that a lab runs on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from bootstrap.errors import Refused
from bootstrap.lab.spec import MEMORY_LIMITS, counted

# Translated code, devices and page tables of one emulated machine, in MiB.
QEMU_OWN = 200


def available_memory() -> int:
    """Memory that can be given to new programs without swapping, in MiB (MemAvailable of proc(5))."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0


def check_memory(starting: Sequence[int], available: int, step: str = "lab up") -> None:
    """Raise Refused where machines of these sizes, in MiB, don't fit into `available` MiB together."""
    count = len(starting)
    needed = sum(starting) + count * QEMU_OWN
    if needed <= available:
        return
    each_size = " and ".join(str(size) for size in sorted(set(starting)))
    sizes = " + ".join(f"{number} x {size}" for size, number in sorted(Counter(starting).items()))
    together = accumulate(size + QEMU_OWN for size in sorted(starting))
    fitting = sum(each <= available for each in together)
    raise Refused(
        f"there is too little memory for {counted(count, 'machine')} of {each_size} MiB",
        step=step,
        tried=f"{sizes} + {count} x {QEMU_OWN} for QEMU itself = {needed} MiB",
        got=f"{available} MiB available",
        hint=f"{counted(fitting, 'machine')} would fit; end other programs or labs"
        + (_smaller(available // count - QEMU_OWN) if step == "lab up" else ""),
    )


def _smaller(fitting: int) -> str:
    """How to ask for a lab that would fit; `fitting` MiB for each machine would."""
    size = f", or smaller ones (--memory {fitting})" if fitting >= MEMORY_LIMITS[0] else ""
    return f", or start fewer (--servers, --agents){size}"
