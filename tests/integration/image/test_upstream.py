"""Releases are fetched over lines that fail, and nothing that is not the release gets through."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import tarfile
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.image.upstream import download, fetch
from bootstrap.image.upstream.components import COMPONENTS, Component, named
from bootstrap.image.upstream.fetch import (
    SERVER,
    fetch_kubernetes,
    why_not_reached,
)
from tests.integration.image.release_server import ReleaseServer
from tests.integration.image.releases import (
    ARCHITECTURE,
    RELEASE,
    Published,
    fetched,
    member,
    published,
    refused,
)

KUBERNETES = Published(SERVER, RELEASE)
EVERY = pytest.mark.parametrize("component", [SERVER, *COMPONENTS.values()], ids=lambda each: each.name)


def assert_complete(release: Published, folder: Path) -> None:
    """Every program is where it belongs, begins as it should, and nothing else is there."""
    found = {str(path.relative_to(folder / "usr")): path for path in (folder / "usr").rglob("*") if path.is_file()}
    assert set(found) == set(release.component.programs.values())
    for name, where in release.component.programs.items():
        begins = f"{named(name, release.release, ARCHITECTURE)} {release.release}\n".encode()
        assert found[where].read_bytes().startswith(begins)
        assert os.access(found[where], os.X_OK)
        assert not found[where].is_symlink()


def assert_nothing_kept(tmp_path: Path) -> None:
    kept = [item for item in (tmp_path / "cache").rglob("*") if item.is_file() and not item.name.endswith(".lock")]
    assert kept == []


def ranges_of(server: ReleaseServer, release: Published) -> list[str | None]:
    """The Range of every request for the file."""
    return [asked for path, asked in server.requests if path == release.place]


@EVERY
def test_the_programs_of_a_release_are_there_and_can_be_run(
    server: ReleaseServer, component: Component, tmp_path: Path
) -> None:
    release, _ = published(server, component)
    said: list[str] = []
    assert_complete(release, fetched(release, said))
    assert list((tmp_path / "cache" / "clusterup" / "downloads").iterdir()) == []
    assert any(f"{server.url}{release.sums}" in line and f"{server.url}{release.elsewhere}" in line for line in said)


@EVERY
def test_a_second_call_asks_no_one(server: ReleaseServer, component: Component) -> None:
    release, _ = published(server, component)
    first = fetched(release)
    server.requests.clear()
    assert fetched(release) == first
    assert server.requests == []


@EVERY
def test_redirections_are_followed_as_projects_make_them(server: ReleaseServer, component: Component) -> None:
    release, _ = published(server, component)
    for path in (release.place, release.sums):
        server.files[f"/cdn{path}"] = server.files.pop(path)
        server.moved[path] = f"{server.url}/cdn{path}"
    assert_complete(release, fetched(release))


@EVERY
def test_nothing_is_asked_for_over_plain_http(server: ReleaseServer, component: Component, tmp_path: Path) -> None:
    release, _ = published(server, component)
    server.moved[release.place] = f"http://127.0.0.1:9{release.place}"
    with pytest.raises(ClusterupError, match="it is plain http"):
        fetched(release)
    assert_nothing_kept(tmp_path)


@EVERY
def test_a_cut_connection_goes_on_where_it_stopped(server: ReleaseServer, component: Component) -> None:
    release, content = published(server, component)
    server.cuts = 1
    said: list[str] = []
    assert_complete(release, fetched(release, said))
    assert ranges_of(server, release) == [None, f"bytes={len(content) // 2}-"]
    assert any(f"{server.url}{release.place} (try 1 of 5)" in line for line in said)


@EVERY
def test_a_connection_that_falls_silent_is_given_up_and_made_again(
    server: ReleaseServer, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, content = published(server, component)
    monkeypatch.setattr(fetch, "client", lambda: download.client(0.5))
    server.stalls = 1
    assert_complete(release, fetched(release))
    assert ranges_of(server, release) == [None, f"bytes={len(content) // 2}-"]


@EVERY
def test_a_corrupted_file_is_thrown_away_and_both_digests_are_said(
    server: ReleaseServer, component: Component, tmp_path: Path
) -> None:
    release, content = published(server, component)
    corrupted = content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]
    server.files[release.place] = corrupted
    error = refused(release)
    algorithm = "sha512" if component is SERVER else "sha256"
    assert "not what its checksum says" in error.problem
    for each in (content, corrupted):
        assert hashlib.new(algorithm, each).hexdigest() in str(error)
    assert_nothing_kept(tmp_path)


@EVERY
def test_two_places_that_say_different_things_are_both_not_believed(
    server: ReleaseServer, component: Component, tmp_path: Path
) -> None:
    """Whoever can change the file can change the list beside it."""
    release, _ = published(server, component)
    other = b"another file"
    server.files[release.place] = other
    release.says(server, release.sums, other)
    error = refused(release)
    assert "two places say different things" in error.problem
    assert f"{server.url}{release.sums}" in str(error)
    assert f"{server.url}{release.elsewhere}" in str(error)
    assert ranges_of(server, release) == []
    assert_nothing_kept(tmp_path)


@EVERY
@pytest.mark.parametrize("which", ["place", "sums", "elsewhere"])
def test_what_is_not_there_is_named(server: ReleaseServer, component: Component, which: str, tmp_path: Path) -> None:
    release, _ = published(server, component)
    missing = getattr(release, which)
    del server.files[missing]
    error = refused(release)
    assert f"{server.url}{missing}:" in error.problem
    assert "may not exist" in error.problem
    assert (error.got or "").startswith("404")
    assert [path for path, _ in server.requests].count(missing) == 1
    assert_nothing_kept(tmp_path)


@EVERY
@pytest.mark.parametrize("said", ["", "<html>log in first</html>", "ab12", "0" * 129, "[]", '{"assets": [5]}'])
@pytest.mark.parametrize("which", ["sums", "elsewhere"])
def test_a_digest_that_is_none_is_refused_before_the_download(
    server: ReleaseServer, component: Component, which: str, said: str
) -> None:
    release, _ = published(server, component)
    server.files[getattr(release, which)] = said.encode()
    assert "does not say" in refused(release).problem
    assert ranges_of(server, release) == []


@EVERY
def test_what_a_table_says_counts_and_no_other_place_is_asked(
    server: ReleaseServer, component: Component, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release, content = published(server, component)
    del server.files[release.sums], server.files[release.elsewhere]
    digests = {f"{component.name} {RELEASE}": {ARCHITECTURE: f"sha256:{hashlib.sha256(content).hexdigest()}"}}
    (tmp_path / "more.json").write_text(json.dumps({"format": 1, "digests": digests}))
    monkeypatch.setenv("CLUSTERUP_RELEASES", str(tmp_path / "more.json"))
    said: list[str] = []
    assert_complete(release, fetched(release, said))
    assert any(f"the one that {tmp_path / 'more.json'} says" in line for line in said)
    assert [path for path, _ in server.requests] == [release.place]


def test_every_tenth_of_a_download_is_said(server: ReleaseServer) -> None:
    release, _ = published(server, SERVER)
    said: list[str] = []
    fetched(release, said)
    percents = [int(found[1]) for line in said if (found := re.search(r"\((\d+) %\)", line))]
    assert [percent // 10 for percent in percents] == list(range(1, 11))


def test_a_length_that_is_not_said_is_not_needed(server: ReleaseServer) -> None:
    release, _ = published(server, SERVER)
    server.lengths = False
    assert_complete(release, fetched(release))


def test_a_server_that_is_busy_is_asked_again(server: ReleaseServer) -> None:
    release, _ = published(server, SERVER)
    server.refusals = 2
    said: list[str] = []
    assert_complete(release, fetched(release, said))
    assert sum("the server answered 503" in line for line in said) == 2


def interrupted(server: ReleaseServer, tmp_path: Path) -> tuple[Published, bytes, Path]:
    """A release, its file, and what a run that did not come to its end left behind."""
    release, content = published(server, SERVER)
    server.cuts = download.TRIES
    error = refused(release)
    assert "did not come to its end" in error.problem
    assert "goes on where it stopped" in error.hint
    server.requests.clear()
    (part,) = (tmp_path / "cache" / "clusterup" / "downloads").iterdir()
    return release, content, part


def test_a_connection_cut_every_time_is_given_up_and_the_next_run_goes_on(
    server: ReleaseServer, tmp_path: Path
) -> None:
    release, content, part = interrupted(server, tmp_path)
    have = part.stat().st_size
    assert part.read_bytes() == content[:have]
    assert_complete(release, fetched(release))
    assert ranges_of(server, release) == [f"bytes={have}-"]


def test_a_server_that_ignores_ranges_starts_over(server: ReleaseServer) -> None:
    release, content = published(server, SERVER)
    server.ranges = False
    server.cuts = 1
    said: list[str] = []
    assert_complete(release, fetched(release, said))
    assert ranges_of(server, release) == [None, f"bytes={len(content) // 2}-"]
    assert any("starting over" in line for line in said)


def test_a_download_that_was_complete_but_never_unpacked_is_not_repeated(server: ReleaseServer, tmp_path: Path) -> None:
    release, content, part = interrupted(server, tmp_path)
    part.write_bytes(content)
    assert_complete(release, fetched(release))
    assert ranges_of(server, release) == [f"bytes={len(content)}-"]


def test_remains_longer_than_the_file_are_thrown_away(server: ReleaseServer, tmp_path: Path) -> None:
    release, content, part = interrupted(server, tmp_path)
    part.write_bytes(content + b"more")
    assert_complete(release, fetched(release))
    assert ranges_of(server, release) == [f"bytes={len(content) + 4}-", None]


def test_remains_of_something_else_are_found_out_and_the_next_run_starts_over(
    server: ReleaseServer, tmp_path: Path
) -> None:
    release, _, part = interrupted(server, tmp_path)
    part.write_bytes(b"something else")
    assert "not what its checksum says" in refused(release).problem
    assert_complete(release, fetched(release))


@pytest.mark.parametrize(
    "component", [SERVER, COMPONENTS["containerd"], COMPONENTS["etcd"]], ids=lambda each: each.name
)
@pytest.mark.parametrize("kind", [None, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_release_without_a_program_or_with_something_else_in_its_place_is_refused(
    server: ReleaseServer, component: Component, kind: bytes | None, tmp_path: Path
) -> None:
    release = Published(component, RELEASE)
    missing = named(next(iter(component.programs)), RELEASE, ARCHITECTURE)
    others = [] if kind is None else [member(missing, kind=kind, link="/bin/sh")]
    release.put(server, release.content(*others, without=missing))
    error = refused(release)
    assert "is not a complete release" in error.problem
    assert (error.got or "").startswith("no regular file")
    assert_nothing_kept(tmp_path)


def test_members_that_lead_elsewhere_are_not_unpacked(server: ReleaseServer, tmp_path: Path) -> None:
    absolute = tmp_path / "absolute"
    inside = "kubernetes/server/bin/"
    evil = [member("../evil", 4), member(f"{inside}../../../../evil", 4), member(str(absolute), 4)]
    content = KUBERNETES.content(*evil, member(f"{inside}x", kind=tarfile.SYMTYPE, link=str(tmp_path)))
    KUBERNETES.put(server, content)
    assert_complete(KUBERNETES, fetched(KUBERNETES))
    assert list(tmp_path.rglob("evil")) == []
    assert not absolute.exists()


@pytest.mark.parametrize("content", [b"no tarball at all", b""])
def test_what_is_no_tarball_is_an_error_not_a_traceback(server: ReleaseServer, content: bytes, tmp_path: Path) -> None:
    KUBERNETES.put(server, content)
    error = refused(KUBERNETES)
    assert "can't be read" in (error.got or "")
    assert_nothing_kept(tmp_path)


def test_a_host_where_no_one_listens_is_named(server: ReleaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and not listening: connections to it are refused
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("CLUSTERUP_MIRROR", f"https://{host}")
        error = refused(KUBERNETES)
        why = why_not_reached("1.36")
    assert error.problem == f"{host} can't be reached"
    assert "CLUSTERUP_MIRROR" in error.hint
    assert why is not None


def test_a_server_that_shows_a_certificate_of_no_one_known_is_not_asked(
    server: ReleaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(server, SERVER)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused(KUBERNETES))
    assert server.requests == []


def test_a_disk_that_takes_nothing_is_an_error_not_a_traceback(server: ReleaseServer, tmp_path: Path) -> None:
    release, _ = published(server, SERVER)
    downloads = tmp_path / "cache" / "clusterup" / "downloads"
    downloads.parent.mkdir(parents=True)
    downloads.write_text("a file where the folder belongs")
    error = refused(release)
    assert "can't be stored" in error.problem
    assert str(downloads.parent) in str(error)


def test_the_folder_of_kubernetes_is_the_one_with_its_programs(server: ReleaseServer) -> None:
    published(server, SERVER)
    assert (fetch_kubernetes(RELEASE, ARCHITECTURE, print) / "kubelet").is_file()
