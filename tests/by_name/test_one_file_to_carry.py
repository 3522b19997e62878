"""From a tree that has nothing but libc and coreutils: the executable and a packed bundle make a cluster of three.

Not a scenario: it forms three servers once more, a quarter of an hour. Run by its name:
scripts/test tests/by_name/test_one_file_to_carry.py
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.operator import Operator
from tests.integration.executable.conftest import executable

__all__ = ["executable"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3 * 3600)]
LAB = "carried"
PROGRAMS = ("sh", "ls", "cat", "cp", "mkdir", "uname", "env")


@dataclass(frozen=True)
class Carried:
    """A tree with the executable and the bundle, and a folder with the inventory and the keys of three bare machines,
    which is at the same place in the tree."""

    root: Path
    folder: Path

    def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """clusterup there, whatever comes of it."""
        clean = ["--clearenv", "--setenv", "HOME", "/home", "--setenv", "PATH", "/bin"]
        clean += ["--setenv", "XDG_STATE_HOME", str(self.folder / "state"), "--chdir", str(self.folder)]
        argv = ["bwrap", "--bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc", "--bind"]
        argv += [str(self.folder), str(self.folder), *clean, "/clusterup", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        print(f"$ clusterup {' '.join(arguments)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done

    def does(self, *arguments: str) -> str:
        """clusterup there; it has to succeed. Its standard output."""
        done = self.runs(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def carried(executable: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carried]:
    """Three bare machines, and the tree."""
    folder = tmp_path_factory.mktemp("carried")
    operator = Operator(folder, folder / "state", LAB)
    operator.clusterup("image", "build", "--source", "debian")
    root = tmp_path_factory.mktemp("tree")
    tree_of_libc_and_coreutils(root)
    shutil.copy(executable, root / "clusterup")
    operator.clusterup("bundle", "pack", "--executable", str(executable), "--out", str(root / "bundle.tar"))
    try:
        operator.clusterup("lab", "up", "--name", LAB, "--servers", "3", "--inventory", "lab.yaml")
        yield Carried(root, folder)
    finally:
        operator.clusterup("lab", "down", "--name", LAB)


def tree_of_libc_and_coreutils(root: Path) -> None:
    """A root folder with a shell, a few of coreutils, and the libraries that these want."""
    for name in ("bin", "home", "tmp"):
        (root / name).mkdir()
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None
        shutil.copy(program, root / "bin" / name)
        for line in subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout.splitlines():
            library = next((Path(word) for word in line.split() if word.startswith("/")), None)
            if library is not None:
                target = root / str(library).lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, target)


def test_the_tree_has_no_python_and_none_of_what_clusterup_is_made_of(carried: Carried) -> None:
    there = {path.name for path in carried.root.rglob("*") if path.is_file()}
    assert {"clusterup", "bundle.tar", "sh"} <= there
    assert not any(name.startswith(("python", "ssh", "mtools", "libcrypto", "libssl")) for name in there)


def test_three_servers_become_ready_by_the_two_files(carried: Carried) -> None:
    carried.does("bundle", "show", "/bundle.tar")
    carried.does("apply", "--bundle", "/bundle.tar", "lab.yaml", "--yes")
    status = json.loads(carried.does("status", "lab.yaml", "-o", "json"))
    assert [node["state"] for node in status["nodes"]] == ["Ready"] * 3
    assert len([member for member in status["etcd"] if member["voter"]]) == 3


def test_pods_reach_each_other_and_nothing_is_left_to_do(carried: Carried) -> None:
    fetches = json.loads(carried.does("verify", "lab.yaml", "--timeout", "900", "-o", "json"))
    # Three pods, the API, two names and a volume from each of three.
    assert len(fetches) == 21
    assert all(row["fetched"] for row in fetches)
    assert "nothing to do" in carried.does("plan", "lab.yaml")
    assert json.loads(carried.does("doctor", "lab.yaml", "-o", "json"))["faults"] == 0
