"""The shell commands of an installation: a POSIX shell, dd and sha256sum, nothing more."""

from __future__ import annotations

from collections.abc import Iterable

from bootstrap.transport.base import Command

Range = tuple[int, int]
"""(offset, size) in bytes on a disk."""

_PREPARE = """\
set -eu
disk={} gaps={}
dd if=/dev/zero of="$disk" bs=1048576 count=1 conv=notrunc,fsync 2>/dev/null
size=$(blockdev --getsize64 "$disk" 2>/dev/null || wc -c <"$disk")
# The copy of the partition table at the very end would bring the old partitions back; few disks end at a whole MiB.
dd if=/dev/zero of="$disk" bs=512 seek=$((size / 512 - 2048)) count=2048 conv=notrunc,fsync 2>/dev/null
set -- $gaps
while [ $# -gt 0 ]; do
    # A disk that can zero a range itself is not sent the zeros.
    blkdiscard --force --zeroout --offset "$1" --length "$2" "$disk" 2>/dev/null ||
        dd if=/dev/zero of="$disk" bs=1048576 seek=$(($1 / 1048576)) count=$(($2 / 1048576)) conv=notrunc 2>/dev/null
    shift 2
done
"""

# Straight to the disk: each further program in between copies everything once more.
_WRITE = """\
set -eu
disk={} offset={}
{{
    dd if=/dev/null bs=1048576 seek=$((offset / 1048576)) count=0 conv=notrunc 2>/dev/null
    cat
}} 1<>"$disk"
dd if=/dev/null of="$disk" conv=notrunc,fsync 2>/dev/null
"""

_HASH = """\
set -eu
disk={} ranges={}
# What is read has to come from the disk, not from memory.
[ ! -w /proc/sys/vm/drop_caches ] || echo 3 >/proc/sys/vm/drop_caches
set -- $ranges
while [ $# -gt 0 ]; do
    dd if="$disk" bs=65536 skip=$(($1 / 65536)) count=$(($2 / 65536 + 1)) 2>/dev/null | head -c "$2" |
        sha256sum | cut -d' ' -f1
    shift 2
done
"""

_RANGE = """\
set -eu
disk={} offset={} size={}
dd of="$disk" bs=65536 seek=$((offset / 65536)) iflag=fullblock conv=notrunc,fsync 2>/dev/null
[ ! -w /proc/sys/vm/drop_caches ] || echo 3 >/proc/sys/vm/drop_caches
dd if="$disk" bs=65536 skip=$((offset / 65536)) count=$((size / 65536)) iflag=fullblock 2>/dev/null |
    sha256sum | cut -d' ' -f1
"""

_REBOOT = """\
sync
# In the background, so that this command ends well before the machine does.
(sleep 1; systemctl reboot --force 2>/dev/null || reboot -f) >/dev/null 2>&1 </dev/null &
"""


def prepare_disk(disk: str, gaps: Iterable[Range]) -> Command:
    """Make the disk bare: what begins and ends a partition table is erased first, so that an installation that is
    interrupted leaves a disk that counts as empty. Then the gaps between what will be written are zeroed."""
    return Command.of("prepare the disk", _PREPARE, disk, _words(gaps))


def write_segment(disk: str, offset: int) -> Command:
    """Write standard input at `offset`, a multiple of 1 MiB."""
    return Command.of("write the image", _WRITE, disk, str(offset))


def hash_image(disk: str, ranges: Iterable[Range]) -> Command:
    """The SHA-256 of each range as read back from the disk, a line each; offsets are multiples of 64 KiB."""
    return Command.of("read the image back", _HASH, disk, _words(ranges))


def write_range(what: str, disk: str, offset: int, size: int) -> Command:
    """Write standard input at `offset` and print the SHA-256 of what is read back; both multiples of 64 KiB."""
    return Command.of(f"write the {what}", _RANGE, disk, str(offset), str(size))


def reboot() -> Command:
    """Reboot, shortly after the command itself has ended."""
    return Command("reboot", _REBOOT)


def running_system() -> Command:
    """The boot id and the SHA-256 of the configuration that the running system was started with."""
    script = "cat /proc/sys/kernel/random/boot_id; cat /run/clusterup/configuration 2>/dev/null; . /etc/os-release; "
    return Command("look at the running system", script + 'echo "${VARIANT_ID:-}"')


def _words(ranges: Iterable[Range]) -> str:
    return " ".join(f"{offset} {size}" for offset, size in ranges)
