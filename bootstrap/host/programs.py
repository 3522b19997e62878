"""Programs of this machine that clusterup has done what they are good at, and the packages that bring them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bootstrap.errors import ClusterupError

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
# Package managers, and how each is told to install. The first that is found is this machine's.
MANAGERS = {
    "apt-get": ("apt-get", "install"),
    "dnf": ("dnf", "install"),
    "zypper": ("zypper", "install"),
    "pacman": ("pacman", "-S"),
    "apk": ("apk", "add"),
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program that clusterup may want. `purpose` ends the sentence "it is for". `packages` are those that bring it,
    by package manager; what is not there has no package of that name known."""

    name: str
    purpose: str
    packages: dict[str, str]


def _everywhere(name: str, purpose: str, package: str, **others: str) -> Program:
    named = {manager: others.get(manager.replace("-", "_"), package) for manager in MANAGERS}
    return Program(name, purpose, {manager: package for manager, package in named.items() if package})


# Debian and Fedora have a package of it.
NOWHERE = {"zypper": "", "pacman": "", "apk": ""}
PROGRAMS = {
    each.name: each
    for each in (
        _everywhere("bwrap", "image build and labs: they run programs of Debian", "bubblewrap"),
        _everywhere("mmdebstrap", "image build and labs: they fetch programs of Debian", "mmdebstrap", **NOWHERE),
        _everywhere("mformat", "apply and sticks: configuration partitions are FAT", "mtools"),
        _everywhere("mcopy", "apply and sticks: configuration partitions are FAT", "mtools"),
        _everywhere(
            "ssh", "reading your SSH configuration", "openssh-client", dnf="openssh-clients", zypper="openssh-clients",
            pacman="openssh", apk="openssh-client-default",
        ),
        _everywhere(
            "ssh-keygen", "signatures of bundles", "openssh-client", dnf="openssh", zypper="openssh-common",
            pacman="openssh", apk="openssh-keygen",
        ),
        _everywhere(
            "sfdisk", "sticks: where on one its partitions lie", "fdisk", dnf="util-linux", zypper="util-linux",
            pacman="util-linux", apk="sfdisk",
        ),
    )
}  # fmt: skip


def found(name: str) -> str | None:
    """Where a program is: on PATH, or where users who are not root have none of theirs."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def missing(names: Iterable[str]) -> list[str]:
    """Those of the programs that are not there."""
    return [name for name in names if found(name) is None]


def package_manager() -> str | None:
    """This machine's; None where none is known."""
    return next((name for name in MANAGERS if shutil.which(name)), None)


def packages_of(names: Sequence[str], manager: str) -> list[str] | None:
    """The packages that bring the programs; None where one of them has none that is known."""
    bring = [PROGRAMS[name].packages.get(manager) if name in PROGRAMS else name for name in names]
    return sorted({each for each in bring if each}) if all(bring) else None


def how_to_install(names: Sequence[str]) -> tuple[str, ...] | None:
    """The argument vector that installs the programs here; None where there is none that is known."""
    manager = package_manager()
    packages = packages_of(names, manager) if manager else None
    return (*MANAGERS[manager], *packages) if manager and packages else None


class MissingPrograms(ClusterupError):
    """This machine lacks programs that a command wants. `install` is the argument vector that brings them, where one is
    known."""

    def __init__(self, names: Sequence[str], step: str) -> None:
        self.names = tuple(names)
        self.install = how_to_install(names)
        debians = (*MANAGERS["apt-get"], *(packages_of(names, "apt-get") or names))
        wanted = sorted({f"{name} ({PROGRAMS[name].purpose})" if name in PROGRAMS else name for name in names})
        super().__init__(
            f"this needs {', '.join(names)}, not found on this machine",
            step=step,
            tried="looked on PATH, and where programs of the system are",
            got=f"nothing there; what they are for: {'; '.join(wanted)}",
            # On a machine whose packages are not known, Debian's names are those to look for.
            hint=f"install it: {' '.join(self.install or debians)}",
        )


def require_programs(*names: str, step: str) -> None:
    """Raise MissingPrograms where one of the programs is not on PATH."""
    if lacking := missing(names):
        raise MissingPrograms(lacking, step)
