"""The architectures that nodes have, and what each is called by whom; and how programs of another one than this
machine's are run while an image is made.

A foreign program is run by QEMU's user emulation. The kernel is told so for the build alone, in a user namespace of
its own (since Linux 6.7), or it has been told by this machine's own packages. Source:
https://docs.kernel.org/admin-guide/binfmt-misc.html
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import BadUse


@dataclass(frozen=True, slots=True)
class Architecture:
    """`name` is Debian's, Go's and OCI's, `machine` what uname -m says, `systemd` that of systemd and mkosi, `efi` what
    ends the names of EFI programs, `console` the serial line that such machines have,
    `elf` what stands in the heads of their programs (elf(5), e_machine)."""

    name: str
    machine: str
    systemd: str
    efi: str
    console: str
    elf: int


AMD64 = Architecture("amd64", "x86_64", "x86-64", "x64", "ttyS0,115200", 62)
ARM64 = Architecture("arm64", "aarch64", "arm64", "aa64", "ttyAMA0,115200", 183)
ARCHITECTURES: Mapping[str, Architecture] = {each.name: each for each in (AMD64, ARM64)}
# What a tree needs for programs of another architecture.
FOREIGN_TOOLS = ("qemu-user", "qemu-user-binfmt", "uidmap")
# As root of a namespace whose users are those of this machine: what packages own keeps its owners.
FOREIGN = """\
set -eu
echo root:0:65536 >/etc/subuid
echo root:0:65536 >/etc/subgid
exec unshare --user --map-users=0,0,65536 --map-groups=0,0,65536 --mount sh -euc '
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || {
        echo "this kernel can not be told for one build how to run programs for $MACHINE (Linux 6.7 can): install" \
            "qemu-user-static or qemu-user-binfmt on this machine" >&2
        exit 1
    }
    cat /usr/lib/binfmt.d/qemu-$MACHINE.conf >/proc/sys/fs/binfmt_misc/register
    exec "$@"' sh "$@"
"""
REGISTERED = Path("/proc/sys/fs/binfmt_misc")


def architecture_named(name: str) -> Architecture:
    """The architecture of that name; uname's and Debian's are both understood. Raises BadUse."""
    for each in ARCHITECTURES.values():
        if name in (each.name, each.machine):
            return each
    raise BadUse(
        f"there is no architecture {name!r:.60} for nodes",
        step="image build",
        got=f"known: {', '.join(ARCHITECTURES)}",
        hint="--arch arm64",
    )


def own_architecture() -> Architecture | None:
    """This machine's, where nodes can have it."""
    return next((each for each in ARCHITECTURES.values() if each.machine == platform.machine()), None)


def is_foreign(architecture: Architecture) -> bool:
    """Whether this machine can't run its programs by itself."""
    return own_architecture() != architecture


def tools_for(architecture: Architecture, tools: Sequence[str]) -> tuple[str, ...]:
    """What a tree has in which something is made for that architecture."""
    return (*tools, *(FOREIGN_TOOLS if is_foreign(architecture) else ()))


def running(architecture: Architecture, argv: Sequence[str]) -> list[str]:
    """The argument vector, inside a tree, that runs `argv`, which runs programs of that architecture."""
    if not is_foreign(architecture) or (REGISTERED / f"qemu-{architecture.machine}").exists():
        return list(argv)
    return ["env", f"MACHINE={architecture.machine}", "sh", "-c", FOREIGN, "sh", *argv]
