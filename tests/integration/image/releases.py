"""Releases as their projects publish them: the file, the list with its digest, and what another place says of it."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.image.upstream import fetch
from bootstrap.image.upstream.components import Component, named
from tests.integration.image.release_server import ReleaseServer

ARCHITECTURE = "amd64"
# No table has it.
RELEASE = "1.36.99"
NOISE = random.Random(1)


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = size, kind, link, 0o644
    return info


def tarball(programs: Mapping[str, bytes], others: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """A tarball with `others` before the programs, and something that no one asks for."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for info in others:
            archive.addfile(info, io.BytesIO(b"!" * info.size))
        for name, content in programs.items():
            archive.addfile(member(name, len(content)), io.BytesIO(content))
        archive.addfile(member("LICENSES", 3), io.BytesIO(b"law"))
    return packed.getvalue()


@dataclass(frozen=True)
class Published:
    """A component's release on a server."""

    component: Component
    release: str
    architecture: str = ARCHITECTURE

    @property
    def place(self) -> str:
        """Path of the file on the server."""
        return f"/mirror/{self.component.place(self.component.file, self.release, self.architecture)}"

    @property
    def sums(self) -> str:
        """Path of the list with its digest."""
        return f"/mirror/{self.component.place(self.component.sums, self.release, self.architecture)}"

    @property
    def elsewhere(self) -> str:
        """Path of what another place says."""
        if self.component.repository is not None:
            return f"/api.github.com/repos/{self.component.repository}/releases/tags/v{self.release}"
        minor = ".".join(self.release.split(".")[:2])
        return f"/raw.githubusercontent.com/kubernetes/kubernetes/master/CHANGELOG/CHANGELOG-{minor}.md"

    @property
    def programs(self) -> dict[str, bytes]:
        """What each member of the file holds, by its name. Noise does not get smaller, so that an answer takes several
        pieces."""
        names = [named(name, self.release, self.architecture) for name in self.component.programs]
        return {name: f"{name} {self.release}\n".encode() + NOISE.randbytes(100_000) for name in names}

    def content(self, *others: tarfile.TarInfo, without: str = "") -> bytes:
        """The file."""
        programs = {name: content for name, content in self.programs.items() if not without or name != without}
        return programs[""] if "" in programs else tarball(programs, others)

    def put(self, server: ReleaseServer, content: bytes, said: bytes | None = None) -> None:
        """Publish the file; both places say the digest of `said`, of itself where that is None."""
        server.files[self.place] = content
        self.says(server, self.sums, said if said is not None else content)
        self.says(server, self.elsewhere, said if said is not None else content)

    def says(self, server: ReleaseServer, path: str, content: bytes) -> None:
        """Have one of both places say the digest of that content."""
        file = self.place.rpartition("/")[2]
        if self.component.repository is None:
            digest = hashlib.sha512(content).hexdigest()
            row = f"[{file}](https://dl.k8s.io/v{self.release}/{file}) | `{digest}`\n"
            changelog = f"# v{self.release}\n\nfilename | sha512 hash\n-------- | -----------\n{row}"
            changelog = server.files.get(path, b"").decode() + changelog if path == self.elsewhere else changelog
        else:
            digest = hashlib.sha256(content).hexdigest()
            there = json.loads(server.files.get(self.elsewhere, b'{"assets": []}'))["assets"]
            others = [asset for asset in there if asset["name"] != file]
            changelog = json.dumps({"assets": [*others, {"name": file, "digest": f"sha256:{digest}"}]})
        line = f"{digest}  {file}\n"
        if path == self.elsewhere:
            server.files[path] = changelog.encode()
        else:
            listed = server.files.get(path, b"").decode().splitlines(keepends=True)
            server.files[path] = "".join(
                [*(each for each in listed if not each.endswith(f"  {file}\n")), line]
            ).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def published(server: ReleaseServer, component: Component) -> tuple[Published, bytes]:
    """A release of a component on the server, and its file."""
    release = Published(component, RELEASE)
    content = release.content()
    release.put(server, content)
    return release, content


def fetched(release: Published, said: list[str] | None = None) -> Path:
    """The folder with its programs."""
    log = print if said is None else said.append
    return fetch._fetched(release.component, release.release, ARCHITECTURE, log)


def refused(release: Published) -> ClusterupError:
    with pytest.raises(ClusterupError) as failure:
        fetched(release)
    assert failure.value.step == "image build"
    assert failure.value.tried
    assert failure.value.got
    return failure.value
