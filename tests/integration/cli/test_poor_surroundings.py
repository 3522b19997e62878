"""Users without a home or a name, folders that can't be written, disks that are full: said in words."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.operators import INVENTORY
from tests.simulator.cluster import SimulatedCluster, simulated_cluster

NO_NAME = 54321
COMMANDS = [
    ("validate", INVENTORY),
    ("plan", INVENTORY),
    ("apply", INVENTORY, "--yes"),
    ("status", INVENTORY),
    ("kubeconfig", INVENTORY),
    ("kubeconfig", INVENTORY, "--merge"),
    ("token", "list"),
    ("token", "create"),
    ("remove", "a1", INVENTORY, "--yes"),
    ("down", INVENTORY, "--yes"),
    ("events", INVENTORY),
    ("report", INVENTORY),
    ("lab", "status"),
    ("image", "show"),
    ("init",),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedCluster]:
    with simulated_cluster(tmp_path_factory.mktemp("poor"), servers=1, agents=1) as made:
        shutil.copy(made.inventory, made.folder / "inventory.yaml")
        yield made


def run(
    cluster: SimulatedCluster, arguments: tuple[str, ...], wrapper: list[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    """Type a command with that environment and no other."""
    program = [sys.executable, "-c", "from bootstrap.cli.start import start; start()", *arguments]
    done = subprocess.run(
        [*wrapper, *program],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=cluster.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "an error in clusterup itself" not in done.stderr, done.stderr
    return done


def mounted(place: Path, options: str) -> list[str]:
    """What runs a program that finds a file system in memory at `place`, with these options; no one else does."""
    place.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o {options} tmpfs {shlex.quote(str(place))} && exec "$@"'
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_user_without_a_home_and_without_a_name_hears_what_to_set(
    cluster: SimulatedCluster, arguments: tuple[str, ...]
) -> None:
    done = run(cluster, arguments, ["unshare", "--user", f"--map-user={NO_NAME}"])
    assert done.returncode != 0 or arguments[0] in ("validate", "init")
    if done.returncode:
        assert "next: " in done.stderr or "file exists" in done.stderr.lower(), done.stderr
    (cluster.folder / "inventory.yaml").write_bytes(cluster.inventory.read_bytes())


@pytest.mark.parametrize("arguments", COMMANDS[:-1], ids=" ".join)
def test_a_user_without_a_name_who_says_where_things_are_kept_is_no_different(
    cluster: SimulatedCluster, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    wrapper = ["unshare", "--user", f"--map-user={NO_NAME}"]
    places = {name: str(tmp_path / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME")}
    done = run(cluster, arguments, wrapper, **places)
    as_usual = run(cluster, arguments, [], **{name: f"{place}-2" for name, place in places.items()})
    assert done.returncode == as_usual.returncode, done.stderr


@pytest.mark.parametrize("arguments", COMMANDS[:-1], ids=" ".join)
def test_a_state_on_a_file_system_that_is_read_only(
    cluster: SimulatedCluster, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    place = tmp_path / "state"
    done = run(cluster, arguments, mounted(place, "ro"), XDG_STATE_HOME=str(place), HOME=str(tmp_path))
    if arguments[0] in ("apply",):
        assert done.returncode == 1, done.stderr
        assert "Read-only file system" in done.stderr
        assert "make that file system writable" in done.stderr
        assert str(place) in done.stderr


@pytest.mark.parametrize("size", ["4k", "8k", "16k", "32k", "64k"])
def test_a_state_on_a_disk_that_is_full(cluster: SimulatedCluster, size: str, tmp_path: Path) -> None:
    place = tmp_path / "state"
    done = run(
        cluster,
        ("apply", INVENTORY, "--yes"),
        mounted(place, f"size={size},nr_inodes=24"),
        XDG_STATE_HOME=str(place),
        HOME=str(tmp_path),
    )
    assert done.returncode in (1, 3), done.stderr
    assert "No space left on device" in done.stdout + done.stderr
    assert "make room there" in done.stdout + done.stderr
