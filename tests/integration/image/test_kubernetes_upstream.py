"""Upstream's release is fetched over lines that fail, and nothing that is not the release gets through."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import socket
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image import kubernetes_upstream
from bootstrap.image.kubernetes_debian import BINARIES
from bootstrap.image.kubernetes_upstream import fetch_kubernetes
from tests.integration.image.release_server import ReleaseServer

PLACE = "/v1.31.2/kubernetes-server-linux-amd64.tar.gz"
INSIDE = "kubernetes/server/bin/"
NOISE = random.Random(1)
# Noise does not get smaller in a tarball, so that an answer takes several pieces.
PROGRAMS = {name: f"#!/bin/sh\necho {name} v1.31.2\nexit\n".encode() + NOISE.randbytes(300_000) for name in BINARIES}


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = size, kind, link, 0o644
    return info


def tarball(programs: Mapping[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """A server tarball in upstream's layout, with `others` before the programs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        archive.addfile(member("kubernetes/", kind=tarfile.DIRTYPE))
        for info in others:
            archive.addfile(info, io.BytesIO(b"!" * info.size))
        archive.addfile(member(f"{INSIDE}kube-apiserver.tar", 7), io.BytesIO(b"layers!"))
        for name, content in programs.items():
            archive.addfile(member(INSIDE + name, len(content)), io.BytesIO(content))
        archive.addfile(member("kubernetes/LICENSES", 3), io.BytesIO(b"law"))
    return packed.getvalue()


RELEASE = tarball(PROGRAMS)


def publish(server: ReleaseServer, content: bytes, checksum: str | None = None) -> None:
    said = checksum if checksum is not None else hashlib.sha512(content).hexdigest()
    server.files |= {PLACE: content, f"{PLACE}.sha512": said.encode()}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """A mirror with release 1.31.2, an empty cache, and no pause between tries."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(kubernetes_upstream, "PAUSE", 0)
    with ReleaseServer() as server:
        publish(server, RELEASE)
        monkeypatch.setenv("CLUSTERUP_KUBERNETES_URL", server.url)
        yield server


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "clusterup" / "downloads"


def refused() -> ClusterupError:
    with pytest.raises(ClusterupError) as failure:
        fetch_kubernetes("1.31.2", print)
    assert failure.value.step == "image build"
    assert failure.value.tried
    assert failure.value.got
    return failure.value


def assert_complete(folder: Path) -> None:
    assert {item.name: item.read_bytes() for item in folder.iterdir()} == PROGRAMS
    assert all(os.access(item, os.X_OK) and not item.is_symlink() for item in folder.iterdir())


def assert_nothing_kept(tmp_path: Path) -> None:
    kept = [item for item in (tmp_path / "cache").rglob("*") if item.is_file() and not item.name.endswith(".lock")]
    assert kept == []


def ranges_of(server: ReleaseServer) -> list[str | None]:
    """The Range of every request for the tarball."""
    return [asked for path, asked in server.requests if path == PLACE]


def test_the_binaries_of_a_release_are_there_and_can_be_run(server: ReleaseServer, downloads: Path) -> None:
    folder, version = fetch_kubernetes("1.31.2", print)
    assert version == "1.31.2"
    assert_complete(folder)
    assert list(downloads.iterdir()) == []


def test_a_second_call_downloads_nothing(server: ReleaseServer) -> None:
    first = fetch_kubernetes("1.31.2", print)
    server.requests.clear()
    assert fetch_kubernetes("v1.31.2", print) == first
    assert server.requests == []


def test_a_given_address_goes_before_the_environment(server: ReleaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERUP_KUBERNETES_URL", "http://127.0.0.1:1")
    folder, _ = fetch_kubernetes("1.31.2", print, base_url=f"{server.url}/")
    assert_complete(folder)


def test_redirections_are_followed_as_upstream_makes_them(server: ReleaseServer) -> None:
    for path in (PLACE, f"{PLACE}.sha512"):
        server.files[f"/cdn{path}"] = server.files.pop(path)
        server.moved[path] = f"{server.url}/cdn{path}"
    server.cuts = 1
    folder, _ = fetch_kubernetes("1.31.2", print)
    assert_complete(folder)


def test_a_checksum_may_be_a_line_as_sha512sum_writes_it(server: ReleaseServer) -> None:
    publish(server, RELEASE, f"{hashlib.sha512(RELEASE).hexdigest().upper()}  {PLACE.rpartition('/')[2]}\n")
    assert_complete(fetch_kubernetes("1.31.2", print)[0])


def test_every_tenth_of_the_download_is_said(server: ReleaseServer) -> None:
    said: list[str] = []
    fetch_kubernetes("1.31.2", said.append)
    percents = [int(found[1]) for line in said if (found := re.search(r"\((\d+) %\)", line))]
    assert [percent // 10 for percent in percents] == list(range(1, 11))


def test_a_length_that_is_not_said_is_not_needed(server: ReleaseServer) -> None:
    server.lengths = False
    assert_complete(fetch_kubernetes("1.31.2", print)[0])


def test_a_cut_connection_goes_on_where_it_stopped(server: ReleaseServer) -> None:
    server.cuts = 1
    said: list[str] = []
    folder, _ = fetch_kubernetes("1.31.2", said.append)
    assert_complete(folder)
    assert ranges_of(server) == [None, f"bytes={len(RELEASE) // 2}-"]
    assert any(f"{server.url}{PLACE} (try 1 of 5)" in line for line in said)
    assert any("going on after 1 MiB" in line for line in said)


def test_a_connection_that_falls_silent_is_given_up_and_made_again(
    server: ReleaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_upstream, "READ_TIMEOUT", 0.5)
    server.stalls = 1
    assert_complete(fetch_kubernetes("1.31.2", print)[0])
    assert ranges_of(server) == [None, f"bytes={len(RELEASE) // 2}-"]


def test_a_server_that_is_busy_is_asked_again(server: ReleaseServer) -> None:
    server.refusals = 2
    said: list[str] = []
    assert_complete(fetch_kubernetes("1.31.2", said.append)[0])
    assert sum("the server answered 503" in line for line in said) == 2


def test_a_connection_cut_every_time_is_given_up_and_the_next_run_goes_on(
    server: ReleaseServer, downloads: Path
) -> None:
    server.cuts = kubernetes_upstream.TRIES
    error = refused()
    assert "did not come to its end" in error.problem
    assert PLACE in str(error)
    assert "5 times" in str(error)
    assert "goes on where it stopped" in error.hint
    assert len(ranges_of(server)) == 5
    (part,) = downloads.iterdir()
    have = part.stat().st_size
    assert part.read_bytes() == RELEASE[:have]

    server.requests.clear()
    assert_complete(fetch_kubernetes("1.31.2", print)[0])
    assert ranges_of(server) == [f"bytes={have}-"]


def test_a_server_that_ignores_ranges_starts_over(server: ReleaseServer) -> None:
    server.ranges = False
    server.cuts = 1
    said: list[str] = []
    assert_complete(fetch_kubernetes("1.31.2", said.append)[0])
    assert ranges_of(server) == [None, f"bytes={len(RELEASE) // 2}-"]
    assert any("starting over" in line for line in said)


def interrupted(server: ReleaseServer, downloads: Path) -> Path:
    """What a run that did not come to its end left behind."""
    server.cuts = kubernetes_upstream.TRIES
    refused()
    server.requests.clear()
    (part,) = downloads.iterdir()
    return part


def test_a_download_that_was_complete_but_never_unpacked_is_not_repeated(
    server: ReleaseServer, downloads: Path
) -> None:
    interrupted(server, downloads).write_bytes(RELEASE)
    assert_complete(fetch_kubernetes("1.31.2", print)[0])
    assert ranges_of(server) == [f"bytes={len(RELEASE)}-"]


def test_remains_longer_than_the_release_are_thrown_away(server: ReleaseServer, downloads: Path) -> None:
    interrupted(server, downloads).write_bytes(RELEASE + b"more")
    assert_complete(fetch_kubernetes("1.31.2", print)[0])
    assert ranges_of(server) == [f"bytes={len(RELEASE) + 4}-", None]


def test_remains_of_something_else_are_found_out_and_the_next_run_starts_over(
    server: ReleaseServer, downloads: Path
) -> None:
    interrupted(server, downloads).write_bytes(b"something else")
    assert "not what its checksum says" in refused().problem
    assert_complete(fetch_kubernetes("1.31.2", print)[0])


def test_a_corrupted_tarball_is_thrown_away_and_both_hashes_are_said(server: ReleaseServer, tmp_path: Path) -> None:
    corrupted = RELEASE[:1000] + bytes([RELEASE[1000] ^ 1]) + RELEASE[1001:]
    server.files[PLACE] = corrupted
    said = str(refused())
    assert hashlib.sha512(RELEASE).hexdigest() in said
    assert hashlib.sha512(corrupted).hexdigest() in said
    assert_nothing_kept(tmp_path)


@pytest.mark.parametrize("missing", [PLACE, f"{PLACE}.sha512"])
def test_a_file_that_is_not_there_is_named(server: ReleaseServer, missing: str, tmp_path: Path) -> None:
    del server.files[missing]
    error = refused()
    assert f"{server.url}{missing}:" in error.problem
    assert "may not exist" in error.problem
    assert error.got is not None
    assert error.got.startswith("404")
    assert [path for path, _ in server.requests].count(missing) == 1
    assert_nothing_kept(tmp_path)


@pytest.mark.parametrize("said", ["", "<html>log in first</html>", "ab12", "0" * 129, "a" * 1_000_000])
def test_a_checksum_that_is_none_is_refused_before_the_download(server: ReleaseServer, said: str) -> None:
    publish(server, RELEASE, said)
    assert "is not a SHA-512" in refused().problem
    assert ranges_of(server) == []


def test_a_release_without_the_kubelet_is_refused(server: ReleaseServer, tmp_path: Path) -> None:
    publish(server, tarball({name: PROGRAMS[name] for name in BINARIES if name != "kubelet"}))
    error = refused()
    assert "not a complete release" in error.problem
    assert error.got == "no regular file kubelet"
    assert_nothing_kept(tmp_path)


def test_a_program_outside_its_folder_does_not_count(server: ReleaseServer) -> None:
    rest = {name: PROGRAMS[name] for name in BINARIES if name != "kubelet"}
    publish(server, tarball(rest, member("kubelet", 5), member(f"{INSIDE}../bin/kubelet", 5)))
    assert refused().got == "no regular file kubelet"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_release_with_something_else_in_place_of_the_kubelet_is_refused(
    server: ReleaseServer, kind: bytes, tmp_path: Path
) -> None:
    rest = {name: PROGRAMS[name] for name in BINARIES if name != "kubelet"}
    publish(server, tarball(rest, member(f"{INSIDE}kubelet", kind=kind, link="/bin/sh")))
    assert refused().got == "no regular file kubelet"
    assert_nothing_kept(tmp_path)


def test_members_that_lead_elsewhere_are_not_unpacked(server: ReleaseServer, tmp_path: Path) -> None:
    absolute = tmp_path / "absolute"
    evil = [member("../evil", 4), member(f"{INSIDE}../../../../evil", 4), member(str(absolute), 4)]
    publish(server, tarball(PROGRAMS, *evil, member(f"{INSIDE}x", kind=tarfile.SYMTYPE, link=str(tmp_path))))
    folder, _ = fetch_kubernetes("1.31.2", print)
    assert_complete(folder)
    assert list(tmp_path.rglob("evil")) == []
    assert not absolute.exists()


@pytest.mark.parametrize("content", [b"no tarball at all", RELEASE[: len(RELEASE) // 2], b""])
def test_what_is_no_tarball_is_an_error_not_a_traceback(server: ReleaseServer, content: bytes, tmp_path: Path) -> None:
    publish(server, content)
    error = refused()
    assert "not a complete release" in error.problem
    assert error.got is not None
    assert "can't be read" in error.got
    assert_nothing_kept(tmp_path)


def test_a_host_where_no_one_listens_is_named(server: ReleaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and not listening: connections to it are refused
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("CLUSTERUP_KUBERNETES_URL", f"http://{host}")
        error = refused()
    assert error.problem == f"{host} can't be reached"
    assert "CLUSTERUP_KUBERNETES_URL" in error.hint


def test_a_disk_that_takes_nothing_is_an_error_not_a_traceback(server: ReleaseServer, downloads: Path) -> None:
    downloads.parent.mkdir(parents=True)
    downloads.write_text("a file where the folder belongs")
    error = refused()
    assert "can't be stored" in error.problem
    assert str(downloads.parent) in str(error)


@pytest.mark.parametrize(
    "version", ["", "v", "1.31", "latest", "1.31.2/../../x", "1.31.2\n", " 1.31.2", "vv1.31.2", "1.31.2-x", "1.٣١.2"]
)
def test_a_version_that_is_none_is_bad_use_and_nothing_is_asked(server: ReleaseServer, version: str) -> None:
    with pytest.raises(BadUse, match="is not a release of Kubernetes"):
        fetch_kubernetes(version, print)
    assert server.requests == []


@pytest.mark.parametrize("address", ["dl.k8s.io", "file:///srv", "https://", "http://host:port", "/srv/mirror"])
def test_an_address_that_is_none_is_bad_use(server: ReleaseServer, address: str) -> None:
    with pytest.raises(BadUse, match="is not an address of a mirror"):
        fetch_kubernetes("1.31.2", print, base_url=address)


def test_a_release_candidate_is_a_version(server: ReleaseServer) -> None:
    for suffix in ("", ".sha512"):
        server.files[PLACE.replace("1.31.2", "1.32.0-rc.1") + suffix] = server.files[PLACE + suffix]
    assert fetch_kubernetes("v1.32.0-rc.1", print)[1] == "1.32.0-rc.1"
