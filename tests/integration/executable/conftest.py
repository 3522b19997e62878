"""The executable, made once of what goes into it and kept in the cache; and machines that have nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.image.architecture import own_architecture
from bootstrap.image.cache import cached, content_key
from scripts.build_executable import build
from scripts.executable.tree import ROOT

HOME = "/home"


@pytest.fixture(scope="session")
def executable() -> Path:
    """clusterup as one file, with its bill of materials and its digest beside it."""
    parts = {
        name: ROOT / name for name in ("bootstrap", "templates", "scripts/executable", "scripts/build_executable.py")
    }
    architecture = own_architecture()
    assert architecture is not None, "tests run on amd64 and arm64"
    made = cached("executable", content_key(parts), _build)
    (found,) = made.glob(f"clusterup-*-linux-{architecture.name}")
    return found


def _build(folder: Path) -> None:
    architecture = own_architecture()
    assert architecture is not None
    build(architecture, folder)


@dataclass(frozen=True, slots=True)
class Bare:
    """A machine that has nothing but the executable: a root folder with it and an empty home."""

    root: Path

    def run(
        self, *arguments: str, mounts: Sequence[str] = ("--proc", "/proc"), environment: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run it there. `mounts` and `environment` are options of bubblewrap."""
        clean = ["--dev", "/dev", "--clearenv", "--setenv", "HOME", HOME, "--chdir", HOME]
        argv = ["bwrap", "--bind", str(self.root), "/", *mounts, *clean, *environment, "/clusterup", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    @property
    def unpacked(self) -> list[Path]:
        """The trees that it has unpacked to its home."""
        return sorted(self.root.glob("home/.cache/clusterup/executable/*"))


@pytest.fixture
def bare(tmp_path: Path, executable: Path) -> Bare:
    """Such a machine."""
    root = tmp_path / "root"
    (root / "home").mkdir(parents=True)
    (root / "clusterup").write_bytes(executable.read_bytes())
    (root / "clusterup").chmod(0o755)
    return Bare(root)
