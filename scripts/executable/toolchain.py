"""A C compiler for either architecture, out of Debian, so that every machine makes the same of the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.image.architecture import Architecture, is_foreign
from bootstrap.image.osimage import SUITE
from bootstrap.image.trees import Log, ensure_tree, run_in

# Nothing that differs from one build to the next, and no paths of this machine.
FLAGS = ("-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s", "-Wl,--build-id=none")

LEVEL = 15


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A `tree` with a C compiler for `architecture`."""

    tree: Path
    architecture: Architecture

    @property
    def triplet(self) -> str:
        """As in x86_64-linux-gnu."""
        return f"{self.architecture.machine}-linux-gnu"

    @property
    def library(self) -> str:
        """The package of the C library that programs are linked with."""
        return library_for(self.architecture)

    @property
    def library_version(self) -> str:
        """Its version, as dpkg says it. Raises ClusterupError."""
        ask = ["dpkg-query", "--show", "--showformat=${Version}", self.library]
        return run_in(self.tree, ask, log=lambda _: None, what="asking for the C library's version")

    def run(self, tool: str, arguments: Sequence[str], place: Path, log: Log) -> str:
        """What a tool says that reads and writes below `place`, which is called the same there. Raises
        ClusterupError."""
        return run_in(self.tree, [f"{self.triplet}-{tool}", *arguments], binds={place: str(place)}, log=log, what=tool)

    def packed(self, file: Path, log: Log) -> None:
        """Make FILE.zst of the file, in one frame with a checksum. Raises ClusterupError."""
        argv = ["zstd", "--quiet", "--force", "-T2", f"-{LEVEL}", "--check", str(file)]
        run_in(self.tree, argv, binds={file.parent: str(file.parent)}, log=log, what="packing the tree")


def library_for(architecture: Architecture) -> str:
    """The package with the C library that a compiler for that architecture has on this machine."""
    return f"libc6-dev-{architecture.name}-cross" if is_foreign(architecture) else "libc6-dev"


def toolchain_for(architecture: Architecture, log: Log) -> Toolchain:
    """Make the tree, or find it in the cache. Raises ClusterupError."""
    machine = architecture.machine.replace("_", "-")
    library = library_for(architecture)
    packages = (f"gcc-{machine}-linux-gnu", f"binutils-{machine}-linux-gnu", library, "binutils", "zstd")
    return Toolchain(ensure_tree(f"gcc-{architecture.name}", SUITE, packages, log=log), architecture)
