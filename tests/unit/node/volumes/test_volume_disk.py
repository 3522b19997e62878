"""Volumes on a disk: directories whose sizes the file system enforces by a project's quota."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bootstrap.node.volumes.disk import FIRST_PROJECT, NoRoom, Volumes, kept_of_further, kept_of_shared

FIRST, SECOND = (f"pvc-00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))


class Ext4:
    """What chattr, lsattr, setquota and findmnt say of a file system with project quotas, as far as they are asked."""

    def __init__(self, options: str = "rw,noatime,prjquota") -> None:
        self.options = options
        self.projects: dict[int, int] = {}
        self.limits: dict[int, tuple[int, int]] = {}

    def __call__(self, *argv: str, seconds: float | None = None) -> str:
        del seconds
        match argv:
            case ["findmnt", "-no", "OPTIONS", "-T", _]:
                return f"{self.options}\n"
            case ["findmnt", "-no", "TARGET", "-T", _]:
                return "/var\n"
            case ["chattr", "-p", project, "+P", path]:
                self.projects[Path(path).stat().st_ino] = int(project)
                return ""
            case ["lsattr", "-pd", path]:
                return f"{self.projects.get(Path(path).stat().st_ino, 0):5} --------------e----P- {path}\n"
            case ["setquota", "-P", project, "0", blocks, "0", files, "/var"]:
                self.limits[int(project)] = (int(blocks), int(files))
                return ""
            case ["rm", "-rf", "--one-file-system", "--", path]:
                # The next directory may have its inode.
                self.projects.pop(Path(path).stat().st_ino, None)
                Path(path).rmdir()
                return ""
            case _:
                raise AssertionError(argv)


def test_a_volume_has_a_project_with_a_limit_of_its_own(tmp_path: Path) -> None:
    system = Ext4()
    volumes = Volumes(tmp_path, system)
    volumes.make(FIRST, 64 << 20)
    volumes.make(SECOND, (1 << 20) + 1)
    assert system.limits == {FIRST_PROJECT: (64 << 10, 4096), FIRST_PROJECT + 1: ((1 << 10) + 1, 1024)}


def test_a_volume_that_is_made_again_keeps_its_project_and_its_content(tmp_path: Path) -> None:
    system = Ext4()
    volumes = Volumes(tmp_path, system)
    file = volumes.make(FIRST, 1 << 20) / "file"
    file.write_text("data")
    volumes.make(FIRST, 2 << 20)
    assert file.read_text() == "data"
    assert system.limits == {FIRST_PROJECT: (2 << 10, 1024)}


def test_a_volume_that_grows_has_a_higher_limit(tmp_path: Path) -> None:
    system = Ext4()
    volumes = Volumes(tmp_path, system)
    volumes.make(FIRST, 1 << 20)
    volumes.resize(FIRST, 1 << 30)
    assert system.limits == {FIRST_PROJECT: (1 << 20, 65536)}


def test_a_project_is_free_again_when_its_volume_is_gone(tmp_path: Path) -> None:
    system = Ext4()
    volumes = Volumes(tmp_path, system)
    volumes.make(FIRST, 1 << 20)
    volumes.remove(FIRST)
    assert system.limits == {FIRST_PROJECT: (0, 0)}
    volumes.make(SECOND, 1 << 20)
    assert system.limits == {FIRST_PROJECT: (1 << 10, 1024)}


def test_where_the_file_system_has_no_projects_a_volume_is_a_directory(tmp_path: Path) -> None:
    system = Ext4("rw,noatime")
    volumes = Volumes(tmp_path, system)
    assert volumes.make(FIRST, 1 << 20).is_dir()
    volumes.resize(FIRST, 2 << 20)
    volumes.remove(FIRST)
    assert not volumes.enforced
    assert system.limits == {}


def test_what_does_not_fit_beside_the_others_or_on_the_disk_as_it_is_has_no_room(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path / "made", Ext4())
    volumes.require_room(0, 0, more=0)
    with pytest.raises(NoRoom, match="1024 PiB are wanted"):
        volumes.require_room(1 << 60, 0, more=1 << 60)
    with pytest.raises(NoRoom, match="1024 PiB are other volumes'"):
        volumes.require_room(1, 1 << 60, more=1)


@pytest.mark.parametrize("gibibytes", [4, 8, 16, 40, 500, 4000])
def test_full_volumes_alone_do_not_bring_the_kubelet_to_remove_images(gibibytes: int) -> None:
    template = Path(__file__).parents[4] / "templates" / "kubernetes" / "kubelet.yaml.j2"
    (high,) = re.findall(r"imageGCHighThresholdPercent: (\d+)", template.read_text())
    whole = gibibytes << 30
    assert whole - kept_of_shared(whole) < whole * int(high) // 100
    assert kept_of_further(whole) <= whole // 10


@pytest.mark.parametrize("name", ["", ".", "..", "pvc-1", f"{FIRST}/..", f"../{FIRST}", f".gone-{FIRST}", "etcd"])
def test_a_name_that_is_no_volume_s_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a volume"):
        Volumes(tmp_path, Ext4()).remove(name)


def test_nothing_is_made_below_a_further_disk_that_is_not_mounted(tmp_path: Path) -> None:
    assert Volumes(tmp_path, Ext4()).problem == ""
    assert "clusterup-volumes.service" in Volumes(tmp_path, Ext4(), mounted_by="clusterup-volumes.service").problem
