"""What went into a build is its name, and a folder with that name is always complete."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path
from typing import IO

import pytest

from bootstrap.image.cache import cached, content_key


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where builds of the kind "thing" are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "clusterup" / "thing"


def sources(folder: Path) -> Path:
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "main.py").write_text("print()")
    (folder / "run").write_text("#!/bin/sh")
    (folder / "link").symlink_to("run")
    return folder


def test_the_same_content_has_the_same_key_wherever_it_lies(tmp_path: Path) -> None:
    one, other = sources(tmp_path / "one"), sources(tmp_path / "other")
    assert content_key({"sources": one, "suite": "bookworm"}) == content_key({"suite": b"bookworm", "sources": other})


def test_a_key_is_short_and_fit_for_a_file_name(tmp_path: Path) -> None:
    key = content_key({"sources": sources(tmp_path / "sources")})
    assert len(key) == 16
    assert int(key, 16) >= 0


def test_another_byte_name_link_or_execute_bit_is_another_key(tmp_path: Path) -> None:
    folder = sources(tmp_path / "sources")
    keys = [content_key({"sources": folder})]

    def note() -> None:
        keys.append(content_key({"sources": folder}))

    (folder / "package" / "main.py").write_text("print(1)")
    note()
    (folder / "run").chmod(0o755)
    note()
    (folder / "link").unlink()
    (folder / "link").symlink_to("package")
    note()
    (folder / "package" / "main.py").rename(folder / "package" / "other.py")
    note()
    (folder / "empty").touch()
    note()
    assert len(set(keys)) == len(keys)


def test_a_single_file_counts_with_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    before = content_key({"file": file})
    assert content_key({"file": file}) == before
    file.write_bytes(b"two")
    assert content_key({"file": file}) != before


@pytest.mark.parametrize("left", ["__pycache__/main.cpython-311.pyc", ".mypy_cache/3.11/cache.db"])
def test_what_tools_leave_beside_sources_does_not_count(tmp_path: Path, left: str) -> None:
    folder = sources(tmp_path / "sources")
    before = content_key({"sources": folder})
    file = folder / "package" / left
    file.parent.mkdir(parents=True)
    file.write_bytes(b"left")
    assert content_key({"sources": folder}) == before


def test_what_is_moved_from_one_part_to_another_is_another_key() -> None:
    assert content_key({"a": "xy", "b": ""}) != content_key({"a": "x", "b": "y"})
    assert content_key({"a": "x", "b": "y"}) != content_key({"a": "y", "b": "x"})


def test_a_key_is_built_once(place: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "result").write_text("done")

    first = cached("thing", "k", build)
    assert cached("thing", "k", build) == first == place / "k"
    assert (first / "result").read_text() == "done"
    assert len(built) == 1
    cached("thing", "other", build)
    assert len(built) == 2


def test_a_folder_is_not_there_before_it_is_complete(place: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "result").write_text("half")
        assert not (place / "k").exists()

    assert cached("thing", "k", build).stat().st_mode & 0o777 == 0o755


def test_a_build_that_failed_leaves_nothing_and_can_be_repeated(place: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").mkdir()
        raise ValueError("no compiler")

    with pytest.raises(ValueError, match="no compiler"):
        cached("thing", "k", fail)
    assert [item for item in place.iterdir() if item.is_dir()] == []
    assert cached("thing", "k", lambda folder: (folder / "result").touch()).is_dir()


def test_two_builders_of_one_key_build_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, second_at_the_lock = threading.Event(), threading.Event()
    built: list[Path] = []
    results: list[Path] = []
    lock = fcntl.flock

    def noted_lock(handle: IO[str], operation: int) -> None:
        if begun.is_set():
            second_at_the_lock.set()
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", noted_lock)

    def build(folder: Path) -> None:
        built.append(folder)
        begun.set()
        assert second_at_the_lock.wait(timeout=60)
        (folder / "result").touch()

    def ask() -> None:
        results.append(cached("thing", "k", build))

    builders = [threading.Thread(target=ask) for _ in range(2)]
    builders[0].start()
    assert begun.wait(timeout=60)
    builders[1].start()
    for builder in builders:
        builder.join(timeout=60)
    assert results == [place / "k"] * 2
    assert len(built) == 1
    assert (place / "k" / "result").is_file()
