"""A lab's programs go with a bundle that is one file, and are found there by whoever has nothing else."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import pytest
from backports import zstd

from bootstrap.errors import ClusterupError, Refused
from bootstrap.image.bundle import Bundle
from bootstrap.image.finding import load_bundle
from bootstrap.image.packing import pack_bundle
from bootstrap.image.trees import Log
from bootstrap.lab import carried
from bootstrap.lab.carried import ARTIFACT, bring_tools, pack_tree, tools_artifact, unpack_tree
from bootstrap.lab.tools import LAB_TREE, lab_tree_key
from tests.helpers.worlds import bundle as small_bundle

said: list[str] = []


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of a lab on a machine that has them, as it would be after mmdebstrap."""
    folder = tmp_path / "here" / "clusterup" / LAB_TREE / lab_tree_key()
    for name in ("usr/bin", "usr/share/doc/qemu", "dev", "var/lib/apt/lists", "etc/alternatives"):
        (folder / name).mkdir(parents=True)
    (folder / "usr/bin/qemu").write_bytes(b"\x7fELF")
    (folder / "usr/bin/qemu").chmod(0o755)
    (folder / "bin").symlink_to("usr/bin")
    (folder / "etc/alternatives/vi").symlink_to("/usr/bin/vim")
    (folder / "usr/share/doc/qemu/README").write_text("long")
    (folder / "var/lib/apt/lists/all").write_text("longer")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    monkeypatch.setattr(carried, "lab_tree", lambda _: folder)
    return folder


@pytest.fixture
def packed(tree: Path, tmp_path: Path) -> Bundle:
    """A bundle that brings them."""
    del tree
    target = tmp_path / "bundle.tar"
    pack_bundle(small_bundle(tmp_path / "bundle"), [], None, target, [tools_artifact(log)])
    return load_bundle(target)


log: Log = said.append


def test_they_come_to_where_labs_look_for_them(
    packed: Bundle, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    bring_tools(packed, log)
    there = tmp_path / "there" / "clusterup" / LAB_TREE / tree.name
    assert (there / "bin/qemu").read_bytes() == b"\x7fELF"
    assert (there / "bin/qemu").stat().st_mode & 0o777 == 0o755
    assert (there / "etc/alternatives/vi").readlink() == Path("/usr/bin/vim")
    assert {"dev", "proc", "run", "sys", "tmp"} <= {each.name for each in there.iterdir()}
    assert not (there / "usr/share/doc").exists()
    assert not (there / "var/lib/apt").exists()


def test_they_are_unpacked_once(packed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    bring_tools(packed, log)
    said.clear()
    bring_tools(packed, log)
    assert said == []


def test_the_same_tree_is_the_same_file(tree: Path, tmp_path: Path) -> None:
    pack_tree(tree, tmp_path / "first")
    (tree / "usr/bin/qemu").touch()
    pack_tree(tree, tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("other", [{"tree": "another"}, {"machine": "another"}])
def test_those_of_another_machine_or_clusterup_are_left_alone(
    packed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    tools = packed.artifacts[ARTIFACT]
    foreign = dataclasses.replace(tools, components=tools.components | other)
    bring_tools(dataclasses.replace(packed, artifacts={**packed.artifacts, ARTIFACT: foreign}), log)
    assert not (tmp_path / "there").exists()


def test_a_bundle_without_them_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    bring_tools(small_bundle(tmp_path / "bundle"), log)
    assert not (tmp_path / "there").exists()


def test_what_is_not_as_the_manifest_says_is_not_unpacked(
    packed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    tools = packed.artifacts[ARTIFACT]
    with tools.file.open("r+b") as file:
        file.seek(tools.begins)
        file.write(b"other")
    with pytest.raises(Refused, match="is not the one its manifest names"):
        bring_tools(packed, log)
    assert [each for each in (tmp_path / "there/clusterup" / LAB_TREE).iterdir() if not each.name.startswith(".")] == []


def link(name: str, to: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, to
    return entry


@pytest.mark.parametrize(
    "entries",
    [
        [tarfile.TarInfo("../outside")],
        [link("folder", "..", tarfile.SYMTYPE), tarfile.TarInfo("folder/outside")],
        [link("name", "../victim", tarfile.LNKTYPE), tarfile.TarInfo("name")],
    ],
    ids=["above it", "through a link", "another name of what is outside"],
)
def test_a_file_that_would_leave_the_folder_is_refused(
    packed: Bundle, tmp_path: Path, entries: list[tarfile.TarInfo]
) -> None:
    evil = tmp_path / "evil"
    (tmp_path / "victim").write_text("whole")
    with zstd.open(evil, "wb") as file, tarfile.open(fileobj=file, mode="w|") as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO())
    folder = tmp_path / "folder"
    folder.mkdir()
    tools = dataclasses.replace(packed.artifacts[ARTIFACT], file=evil, begins=0, size=evil.stat().st_size)
    with pytest.raises(ClusterupError, match="can't be unpacked"):
        unpack_tree(tools, folder)
    assert not (tmp_path / "outside").exists()
    assert (tmp_path / "victim").read_text() == "whole"


def test_a_python_that_can_t_do_it_safely_says_so(
    packed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "tar_filter")
    with pytest.raises(ClusterupError, match="can't unpack the programs of a lab safely"):
        unpack_tree(packed.artifacts[ARTIFACT], tmp_path)
