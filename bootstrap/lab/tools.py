"""The programs of a lab: QEMU, its firmware, switches, router, load balancer and registry, out of a tools tree."""

from __future__ import annotations

from pathlib import Path

from bootstrap.host.programs import require_programs
from bootstrap.image.architecture import AMD64
from bootstrap.image.trees import Log, ensure_tree, tree_key

SUITE = "trixie"
PACKAGES = ("docker-registry", "haproxy", "iproute2", "ovmf", "qemu-system-x86", "qemu-utils", "vde2", "zstd")
ARM_PACKAGES = ("qemu-efi-aarch64", "qemu-system-arm")


# Its folder in the cache.
LAB_TREE = "tree-lab"


def lab_tree_key() -> str:
    """What the tools tree is called in that folder."""
    return tree_key(SUITE, PACKAGES)


def machine_tree(arch: str, log: Log) -> Path:
    """The tree with QEMU for machines of that architecture. Raises ClusterupError."""
    if arch == AMD64.name:
        return lab_tree(log)
    require_programs("bwrap", step="lab")
    return ensure_tree(f"lab-{arch}", SUITE, ARM_PACKAGES, log=log)


def lab_tree(log: Log) -> Path:
    """The tools tree, made at the first call (half a minute, 370 MB). Raises ClusterupError."""
    require_programs("bwrap", "mformat", step="lab")
    return ensure_tree("lab", SUITE, PACKAGES, log=log)


def ready_tree() -> Path:
    """The tools tree of a lab that exists. Raises ClusterupError where it went and can't be made again."""
    return lab_tree(lambda _: None)
