"""clusterup as one file runs on a machine that has nothing: no Python, no C library, no /proc."""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bootstrap import __version__
from bootstrap.image.disk.configuration import LABEL
from tests.integration.executable.conftest import HOME, Bare


def test_all_of_it_is_there(bare: Bare) -> None:
    done = bare.run("self-test", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["whole"] is True
    assert {each["what"]: each["wrong"] for each in said["checks"]} == {
        "modules": "",
        "libraries": "",
        "templates": "",
        "the program for nodes": "",
        "what it is made of": "",
        "completion and man pages": "",
    }


def test_it_finds_the_programs_that_it_carries_and_misses_the_others(bare: Bare) -> None:
    said = json.loads(bare.run("self-test", "-o", "json").stdout)
    found = {each["name"]: Path(each["path"]).parent.name for each in said["programs"]}
    assert found["mformat"] == found["mcopy"] == found["sfdisk"] == found["ssh-keygen"] == "tools"
    assert found["mmdebstrap"] == ""


def test_its_version_says_of_which_commit_it_is_and_what_it_is_made_of(bare: Bare) -> None:
    first, second = bare.run("--version").stdout.splitlines()
    assert first.startswith(f"clusterup {__version__} (linux-")
    assert "commit " in first
    assert "python 3.13" in second
    assert "paramiko " in second


def test_it_runs_where_proc_is_not_mounted(bare: Bare) -> None:
    done = bare.run("validate", "nowhere.yaml", mounts=())
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr


def test_it_makes_the_configuration_partition_of_a_node_with_what_it_carries(bare: Bare) -> None:
    bare.run("--version")
    (tree,) = bare.unpacked
    tools = f"{HOME}/.cache/clusterup/executable/{tree.name}/tools"
    image = bare.root / "home/fat"
    image.write_bytes(bytes(8 << 20))
    (bare.root / "home/etc.sha256").write_text("of a node\n")
    for argv in (
        ["mformat", "-v", LABEL, "-T", "16384"],
        ["mcopy", f"{HOME}/etc.sha256"],
        ["mcopy", "-n", "::etc.sha256"],
    ):
        command = [f"{tools}/{argv[0]}", "-i", f"{HOME}/fat", *argv[1:]]
        command += [f"{HOME}/back"] if "::etc.sha256" in argv else ["::"]
        subprocess.run(["bwrap", "--bind", str(bare.root), "/", "--dev", "/dev", "--clearenv", *command], check=True)
    assert (bare.root / "home/back").read_text() == "of a node\n"


def test_it_is_unpacked_once(bare: Bare) -> None:
    bare.run("--version")
    (tree,) = bare.unpacked
    before = tree.stat()
    bare.run("--version")
    assert bare.unpacked == [tree]
    assert (tree.stat().st_ino, tree.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_many_that_start_at_once_unpack_one_tree(bare: Bare) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: bare.run("--version"), range(4)))
    assert [each.returncode for each in done] == [0, 0, 0, 0], [each.stderr for each in done]
    assert len(bare.unpacked) == 1
    assert [each.name for each in bare.unpacked[0].parent.iterdir()] == [bare.unpacked[0].name]


def test_a_user_without_a_home_is_told_where_it_could_go(bare: Bare) -> None:
    done = bare.run("--version", environment=("--unsetenv", "HOME"))
    assert done.returncode == 1
    assert "set XDG_CACHE_HOME to a folder of yours" in done.stderr


def test_it_goes_where_the_user_database_says_when_nothing_else_does(bare: Bare) -> None:
    (bare.root / "etc").mkdir()
    (bare.root / "etc/passwd").write_text(f"root:x:0:0::{HOME}:/bin/sh\n")
    done = bare.run("--version", environment=("--unsetenv", "HOME"))
    assert done.returncode == 0, done.stderr
    assert len(bare.unpacked) == 1


def test_a_folder_that_others_may_write_to_is_not_believed(bare: Bare) -> None:
    place = bare.root / "home/.cache/clusterup/executable"
    place.mkdir(parents=True)
    place.chmod(0o777)
    done = bare.run("--version")
    assert done.returncode == 1
    assert "can be changed by others" in done.stderr


def test_a_tree_that_others_may_write_to_is_not_believed(bare: Bare) -> None:
    bare.run("--version")
    (tree,) = bare.unpacked
    tree.chmod(0o777)
    done = bare.run("--version")
    assert done.returncode == 1
    assert "can be changed by others" in done.stderr


def test_what_was_left_by_one_that_was_killed_is_removed_when_it_is_old(bare: Bare) -> None:
    place = bare.root / "home/.cache/clusterup/executable"
    for name, age in ((".0123456789abcdef.oldold", 7200), (".0123456789abcdef.newnew", 60)):
        (place / name / "lib").mkdir(parents=True)
        os.utime(place / name, (time.time() - age, time.time() - age))
    bare.run("--version")
    assert [each.name for each in bare.unpacked] == [".0123456789abcdef.newnew", bare.unpacked[-1].name]


def test_a_folder_above_it_that_others_may_write_to_is_not_believed(bare: Bare) -> None:
    bare.run("--version")
    (bare.root / "home/.cache").chmod(0o777)
    done = bare.run("--version")
    assert done.returncode == 1
    assert "can be changed by others" in done.stderr
    (bare.root / "home/.cache").chmod(0o1777)
    assert bare.run("--version").returncode == 0


def test_a_home_that_is_somebody_else_s_is_not_taken(bare: Bare) -> None:
    (bare.root / "etc").mkdir()
    (bare.root / "root").mkdir()
    (bare.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    os.chown(bare.root / "home", 1234, 1234)
    done = bare.run("--version")
    assert done.returncode == 0, done.stderr
    assert bare.unpacked == []
    assert len(list(bare.root.glob("root/.cache/clusterup/executable/*"))) == 1


def test_a_full_disk_is_said_in_words(bare: Bare) -> None:
    (bare.root / "small").mkdir()
    small = ("--size", str(20 << 20), "--tmpfs", "/small")
    done = bare.run("--version", mounts=small, environment=("--setenv", "XDG_CACHE_HOME", "/small"))
    assert done.returncode == 1
    assert "can't unpack itself" in done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("cut", ["its end", "its middle", "one byte"])
def test_a_damaged_copy_says_so_and_leaves_nothing_behind(bare: Bare, cut: str) -> None:
    whole = (bare.root / "clusterup").read_bytes()
    middle = len(whole) // 2
    damaged = {
        "its end": whole[:-100],
        "its middle": whole[:middle] + whole[middle + 4096 :],
        "one byte": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
    }[cut]
    (bare.root / "clusterup").write_bytes(damaged)
    done = bare.run("--version")
    assert done.returncode == 1
    assert "this executable is damaged" in done.stderr
    assert bare.unpacked == []
    assert list((bare.root / "home/.cache/clusterup/executable").glob(".*")) == []
