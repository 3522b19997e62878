"""Where nothing is said, Kubernetes comes from its project where that is reached; what was taken, and why, is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image import sources
from bootstrap.image.architecture import AMD64
from bootstrap.image.kubernetes_debian import BINARIES
from bootstrap.image.programs import Programs
from bootstrap.image.sources import AUTO, Source, check_source, programs_of, supported_minors
from bootstrap.image.upstream import fetch
from bootstrap.image.upstream.table import read_table

NOT_REACHED = "no route to host"


class World:
    """What can be had, and what was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.said: list[str] = []
        self.folder = tmp_path
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(sources, "build_kubernetes", lambda *_: (tmp_path, "1.20.2"))
        monkeypatch.setattr(fetch, "why_not_reached", lambda _: self.why)
        monkeypatch.setattr(fetch, "newest_release", lambda minor, _: f"{minor}.7")
        monkeypatch.setattr(fetch, "fetch_kubernetes", lambda *_: tmp_path)
        monkeypatch.setattr(fetch, "fetch_components", lambda *_: {"etcd": ("3.6.9", tmp_path)})
        self.why: str | None = None

    def kept(self, release: str) -> None:
        """A release that was fetched before, with all that belongs to it."""
        for component, part in fetch._parts(release):
            place = self.folder / "cache" / "clusterup" / "upstream" / fetch._key(component, part, "amd64")
            place.mkdir(parents=True, exist_ok=True)
            (place / "release").write_text(f"{component.name} {part} amd64\n")

    def takes(self, wanted: str | None) -> Programs:
        return programs_of(AUTO, wanted, AMD64, self.said.append)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


def test_upstream_is_taken_where_it_is_reached(world: World) -> None:
    found = world.takes(None)
    assert found.release == f"{read_table().newest}.7"
    assert found.components["etcd"].release == "3.6.9"
    assert "Kubernetes comes from its project, which is reached" in world.said


@pytest.mark.parametrize(("wanted", "release"), [("1.36", "1.36.7"), ("1.36.2", "1.36.2")])
def test_a_minor_version_is_its_newest_release_and_a_release_is_itself(world: World, wanted: str, release: str) -> None:
    assert world.takes(wanted).release == release


def test_debian_is_taken_where_nothing_else_is_reached_and_it_is_said_what_that_is(world: World) -> None:
    world.why = NOT_REACHED
    assert world.takes(None).release == "1.20.2"
    assert f"Kubernetes comes from Debian: its project is not reached ({NOT_REACHED})" in world.said
    assert any("has had no support since 2022: it is for trying out" in line for line in world.said)


def test_what_was_fetched_before_is_taken_before_debian(world: World) -> None:
    world.why = NOT_REACHED
    newest = read_table().newest
    for release in (f"{newest}.2", f"{newest}.10", "1.1.1"):
        world.kept(release)
    assert world.takes(None).release == f"{newest}.10"
    assert any(NOT_REACHED in line and "was fetched from its project before" in line for line in world.said)


def test_a_project_that_answers_something_else_is_no_reason_to_take_debian(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_: str) -> str:
        raise ClusterupError("it answered 503", hint="later")

    monkeypatch.setattr(fetch, "why_not_reached", busy)
    with pytest.raises(ClusterupError, match="it answered 503"):
        world.takes(None)


@pytest.mark.parametrize("source", [AUTO, "upstream"])
def test_a_release_that_is_debian_s_alone_is_not_looked_for_elsewhere(source: str) -> None:
    with pytest.raises(BadUse, match=r"Kubernetes 1\.20\.15 is not taken from its project"):
        check_source(Source(source, ("1.20.15",)))
    check_source(Source(AUTO, ("1.20",)))


def test_an_empty_source_is_bad_use() -> None:
    with pytest.raises(BadUse, match="the source of Kubernetes is empty"):
        check_source(Source(""))


def test_a_release_that_can_t_be_had_is_an_error_and_never_another_one(world: World) -> None:
    world.why = NOT_REACHED
    with pytest.raises(ClusterupError, match=r"Kubernetes 1\.36 can't be had") as failed:
        world.takes("1.36")
    assert failed.value.got == NOT_REACHED


def test_debian_s_own_release_needs_no_one_else(world: World) -> None:
    world.why = NOT_REACHED
    assert world.takes("1.20").release == "1.20.2"


@pytest.mark.parametrize(("holds", "wanted"), [("1.36.2", "1.37"), ("1.36.2", "1.36.3")])
def test_a_folder_with_another_release_is_refused(world: World, holds: str, wanted: str) -> None:
    folder = holding(world.folder / "programs", holds)
    with pytest.raises(BadUse, match=f"has no Kubernetes {wanted}"):
        programs_of(str(folder), wanted, AMD64, world.said.append)


def test_a_folder_with_a_release_that_is_not_supported_is_refused(world: World) -> None:
    folder = holding(world.folder / "programs", "1.31.2")
    with pytest.raises(BadUse, match=r"Kubernetes 1\.31 is not one that clusterup supports") as refused:
        programs_of(str(folder), None, AMD64, world.said.append)
    assert refused.value.got == f"supported: {', '.join(supported_minors())}"


def holding(folder: Path, release: str) -> Path:
    """A folder with that Kubernetes."""
    folder.mkdir()
    for name in BINARIES:
        (folder / name).write_text(f"#!/bin/sh\necho Kubernetes v{release}\n")
        (folder / name).chmod(0o755)
    return folder
