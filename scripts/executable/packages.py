"""Debian's packages as they are, unpacked one by one, so that each file is known to be of one of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.image.osimage import SUITE, security_mirror
from bootstrap.image.trees import Log, debian_mirror, run

# The folder in which all packages are unpacked together, beside those of each.
TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class Package:
    """A package of Debian's, unpacked into `folder`. `name`, `version` and `architecture` as dpkg says them."""

    name: str
    version: str
    architecture: str
    folder: Path

    @property
    def licence(self) -> Path:
        """Its copyright file (Debian Policy 12.5). The folder may be a link to that of another package, so it is looked
        for where all of them are together."""
        return self.folder.parent / TOGETHER / "usr/share/doc" / self.name / "copyright"


def fetch_packages(names: Sequence[str], architecture: str, into: Path, log: Log) -> list[Package]:
    """The named packages and all that they depend on, for that architecture, unpacked below `into`. Nothing of them is
    run. Raises ClusterupError."""
    into.mkdir(parents=True)
    archives = into / TOGETHER
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=extract",
            f"--architectures={architecture}",
            "--skip=cleanup/apt,cleanup/apt/cache",
            f"--include={','.join(names)}",
            SUITE,
            str(archives),
            *_sources(),
        ],
        what="fetching Debian's packages",
        log=log,
    )
    return list(_unpacked(sorted((archives / "var/cache/apt/archives").glob("*.deb")), into))


def _sources() -> list[str]:
    """Lines of apt for the suite and its security updates, at the mirrors of this machine's own apt; none, for
    mmdebstrap's defaults, where that names none."""
    mirror = debian_mirror()
    if mirror is None:
        return []
    security = security_mirror()
    return [f"deb {mirror} {SUITE} main", *([f"deb {security} {SUITE}-security main"] if security else [])]


def _unpacked(files: Sequence[Path], into: Path) -> Iterator[Package]:
    for file in files:
        said = subprocess.run(
            ["dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", str(file)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        name, version, architecture = said.split()
        folder = into / name
        subprocess.run(["dpkg-deb", "--extract", str(file), str(folder)], check=True)
        yield Package(name, version, architecture, folder)


def needed_libraries(said: str) -> list[str]:
    """The names of libraries in what `readelf --dynamic` says (elf(5), DT_NEEDED)."""
    return re.findall(r"\(NEEDED\)\s+Shared library: \[(.+)\]", said)
