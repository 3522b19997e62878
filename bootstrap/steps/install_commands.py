"""The shell commands of an installation: a POSIX shell, dd, sha256sum and zstd or not, nothing more."""

from __future__ import annotations

from bootstrap.transport.base import Command

FIRST = 1024 * 1024
HELD_BACK = "/run/clusterup-first"

_PREPARE = """\
set -eu
disk={}
dd if=/dev/zero of="$disk" bs=1048576 count=1 conv=notrunc,fsync 2>/dev/null
size=$(blockdev --getsize64 "$disk" 2>/dev/null || wc -c <"$disk")
# The copy of the partition table at the end would bring the old partitions back.
dd if=/dev/zero of="$disk" bs=1048576 seek=$((size / 1048576 - 1)) count=1 conv=notrunc,fsync 2>/dev/null
"""

_WRITE = """\
set -eu
disk={} first={} unpack={}
umask 077
feed() {{ if [ "$unpack" = yes ]; then zstd -dc -; else cat; fi; }}
feed | {{
    dd of="$first" bs=65536 count=16 iflag=fullblock 2>/dev/null
    dd of="$disk" bs=1048576 seek=1 iflag=fullblock conv=notrunc,fsync 2>/dev/null
}}
"""

_HASH = """\
set -eu
disk={} first={} rest={}
# What is read has to come from the disk, not from memory.
[ ! -w /proc/sys/vm/drop_caches ] || echo 3 >/proc/sys/vm/drop_caches
{{ cat "$first"; dd if="$disk" bs=65536 skip=16 count=$((rest / 65536 + 1)) 2>/dev/null | head -c "$rest"; }} |
    sha256sum | cut -d' ' -f1
"""

_RANGE = """\
set -eu
disk={} offset={} size={}
dd of="$disk" bs=65536 seek=$((offset / 65536)) iflag=fullblock conv=notrunc,fsync 2>/dev/null
[ ! -w /proc/sys/vm/drop_caches ] || echo 3 >/proc/sys/vm/drop_caches
dd if="$disk" bs=65536 skip=$((offset / 65536)) count=$((size / 65536)) iflag=fullblock 2>/dev/null |
    sha256sum | cut -d' ' -f1
"""

_COMMIT = """\
set -eu
disk={} first={}
dd if="$first" of="$disk" bs=1048576 count=1 conv=notrunc,fsync 2>/dev/null
[ ! -w /proc/sys/vm/drop_caches ] || echo 3 >/proc/sys/vm/drop_caches
dd if="$disk" bs=1048576 count=1 2>/dev/null | cmp -s - "$first"
rm "$first"
sync
"""

_REBOOT = """\
sync
# In the background, so that this command ends well before the machine does.
(sleep 1; systemctl reboot --force 2>/dev/null || reboot -f) >/dev/null 2>&1 </dev/null &
"""


def prepare_disk(disk: str) -> Command:
    """Make the disk bare: what begins and ends a partition table is erased first, so that an installation that is
    interrupted leaves a disk that counts as empty."""
    return Command.of("prepare the disk", _PREPARE, disk)


def unpacks() -> Command:
    """Whether the node can unpack zstd itself."""
    return Command("look for zstd", "command -v zstd >/dev/null && echo yes || echo no")


def write_image(disk: str, *, unpack: bool) -> Command:
    """Write the image from standard input, all but its first MiB, which is held back in memory."""
    return Command.of("write the image", _WRITE, disk, HELD_BACK, "yes" if unpack else "no")


def hash_image(disk: str, size: int) -> Command:
    """SHA-256 of the image as it will be: the part that was held back and what is read back from the disk."""
    return Command.of("read the image back", _HASH, disk, HELD_BACK, str(size - FIRST))


def write_range(disk: str, offset: int, size: int) -> Command:
    """Write standard input at `offset` and print the SHA-256 of what is read back; both multiples of 64 KiB."""
    return Command.of("write the configuration", _RANGE, disk, str(offset), str(size))


def commit_image(disk: str) -> Command:
    """Write the first MiB, the partition table in it: from here on the disk is an installed one."""
    return Command.of("write the partition table", _COMMIT, disk, HELD_BACK)


def reboot() -> Command:
    """Reboot, shortly after the command itself has ended."""
    return Command("reboot", _REBOOT)


def running_system() -> Command:
    """The boot id and the SHA-256 of the configuration that the running system was started with."""
    script = "cat /proc/sys/kernel/random/boot_id; cat /run/clusterup/configuration 2>/dev/null; . /etc/os-release; "
    return Command("look at the running system", script + 'echo "${VARIANT_ID:-}"')
