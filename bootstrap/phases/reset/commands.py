"""The shell commands with which a node loses its part in a cluster, or its whole disk."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.paths import templates_dir
from bootstrap.transport.base import Command

# What file systems still have to write is written, and then they write nothing any more: of the running system's they
# would put back what was erased under them.
_WRITE_NO_MORE = "sync; echo u >/proc/sysrq-trigger; sleep 1"


def clean() -> Command:
    """Stop what runs, and remove from /var what an installation does not make; fails where the running system is
    another one than ours. See templates/node/clean/clean.sh."""
    return Command("clean the node", _script("clean"))


def state_of_files() -> Command:
    """Print what is below /etc and /var, as far as it is not each boot's own: the same lines after each installation
    with the same configuration. See templates/node/clean/state.sh."""
    return Command("list the node's files", _script("state"))


def system_disk(sysfs: str = "/sys") -> Command:
    """Print a line "disk DEVICE BYTES", the disk that the running system is on, and lines "start BYTES LABEL" for
    its partitions. Fails where the running system is another one than ours."""
    return Command.of("look for the system's disk", _script("disk"), sysfs)


def write_no_more() -> Command:
    """Have the file systems on disks write what they have to, and be read-only from then on."""
    return Command("make the disks read-only", _WRITE_NO_MORE)


def wipe(disk: str, starts: Sequence[int], restart: str = "/proc/sysrq-trigger") -> Command:
    """Erase both partition tables of `disk` and a MiB at each of `starts` (bytes), and restart the machine at once. The
    answer may be lost with it."""
    return Command.of("erase the disk", _script("wipe"), disk, " ".join(str(start) for start in starts), restart)


def _script(name: str) -> str:
    return (templates_dir() / "node" / "clean" / f"{name}.sh").read_text()
