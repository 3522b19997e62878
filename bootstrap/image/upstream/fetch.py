"""Releases fetched, checked and unpacked, each once."""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.cache import cached, content_key
from bootstrap.image.kubernetes_debian import BINARIES
from bootstrap.image.trees import Log
from bootstrap.image.upstream.checksums import digest_for
from bootstrap.image.upstream.components import COMPONENTS, Component, named
from bootstrap.image.upstream.digests import Digest
from bootstrap.image.upstream.download import big_file, client, small_file, why_no_one_answers
from bootstrap.image.upstream.places import KUBERNETES, STEP, VARIABLE, address_of
from bootstrap.image.upstream.table import read_table
from bootstrap.image.versions import is_of, minor_of, sorting_key
from bootstrap.paths import cache_dir

if TYPE_CHECKING:
    import httpx

RELEASE = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-(?:alpha|beta|rc)\.[0-9]+)?", re.ASCII)
MINOR = re.compile(r"[0-9]+\.[0-9]+", re.ASCII)
KEPT = "upstream"
SERVER = Component(
    "kubernetes",
    "kubernetes-server-linux-{architecture}.tar.gz",
    "kubernetes-server-linux-{architecture}.tar.gz.sha512",
    {f"kubernetes/server/bin/{program}": f"bin/{program}" for program in BINARIES},
)


def wanted_release(version: str) -> str:
    """The release, or the minor version, in "1.36.2", "v1.36.2" or "1.36". Raises BadUse for what is none."""
    wanted = version.removeprefix("v")
    if RELEASE.fullmatch(wanted) or MINOR.fullmatch(wanted):
        return wanted
    raise BadUse(
        f"{version!r} is not a release of Kubernetes",
        step=STEP,
        hint="name one, as in 1.36.2, or a minor version, as in 1.36; they are listed at "
        "https://kubernetes.io/releases/",
    )


def release_of(wanted: str, log: Log) -> str:
    """The release that is wanted; of a minor version the newest. Raises BadUse for what is none, ClusterupError."""
    release = wanted_release(wanted)
    return newest_release(release, log) if release == minor_of(release) else release


def newest_release(minor: str, log: Log) -> str:
    """The newest release of a minor version, as its project says. Raises ClusterupError."""
    address = address_of(f"{KUBERNETES}/release/stable-{minor}.txt")
    with client() as asking:
        said = small_file(asking, address, log, most=100).decode(errors="replace").strip()
    release = said.removeprefix("v")
    if not RELEASE.fullmatch(release) or not is_of(release, minor):
        raise ClusterupError(
            f"{address} does not say what the newest release of {minor} is",
            step=STEP,
            tried=f"GET {address}",
            got=said or "nothing",
            hint=f"compare {VARIABLE} with what the mirror holds, or name a release, as in {minor}.1",
        )
    return release


def why_not_reached(minor: str) -> str | None:
    """Why no release can be had from upstream now, None where somebody answers. Raises ClusterupError where what is
    answered is of no use."""
    return why_no_one_answers(address_of(f"{KUBERNETES}/release/stable-{minor}.txt"))


def kept_release(wanted: str, architecture: str) -> str | None:
    """The newest release of those wanted that was fetched before with all that belongs to it, None where there is
    none."""
    there = {note.read_text() for note in (cache_dir() / KEPT).glob("*/release") if note.parent.name[0] != "."}
    releases = {words[1] for words in map(str.split, there) if words[:1] == [SERVER.name] and is_of(words[1], wanted)}
    whole = [release for release in releases if all(_kept(*part, architecture) for part in _parts(release))]
    return max(whole, key=sorting_key, default=None)


def _parts(release: str) -> Iterator[tuple[Component, str]]:
    """Kubernetes' release, and the releases of the components that belong to it."""
    yield SERVER, release
    for name, belongs in read_table().components.get(minor_of(release), {}).items():
        yield COMPONENTS[name], belongs


def _kept(component: Component, release: str, architecture: str) -> bool:
    return (cache_dir() / KEPT / _key(component, release, architecture)).is_dir()


def fetch_kubernetes(release: str, architecture: str, log: Log) -> Path:
    """The folder with Kubernetes' binaries. Raises ClusterupError where they can't be fetched, are not what their
    checksum says, or are not all there."""
    return _fetched(SERVER, release, architecture, log) / "usr" / "bin"


def fetch_components(minor: str, architecture: str, log: Log) -> dict[str, tuple[str, Path]]:
    """What belongs to a minor version of Kubernetes: the release of each component, and the folder whose `usr` has its
    programs. Raises BadUse for a minor version that the table does not have, ClusterupError as `fetch_kubernetes`
    does."""
    releases = read_table().components.get(minor)
    if releases is None:
        raise BadUse(
            f"Kubernetes {minor} is not one that clusterup supports",
            step=STEP,
            got=f"supported: {', '.join(read_table().minors)}",
            hint="use one of them (docs/kubernetes.md), or a newer clusterup",
        )
    return {
        name: (release, _fetched(COMPONENTS[name], release, architecture, log)) for name, release in releases.items()
    }


def _fetched(component: Component, release: str, architecture: str, log: Log) -> Path:
    file = component.place(component.file, release, architecture)
    key = _key(component, release, architecture)

    def build(folder: Path) -> None:
        part = cache_dir() / "downloads" / f"{component.name}-{release}-{key}.part"
        with client() as asking:
            digest = digest_for(asking, component, release, architecture, log)
            _download(asking, file, part, digest, log)
        _unpack(part, folder, component, release, architecture)
        (folder / "release").write_text(f"{component.name} {release} {architecture}\n")
        part.unlink()

    try:
        return cached(KEPT, key, build)
    except OSError as error:
        raise ClusterupError(
            f"{component.name} {release} can't be stored",
            step=STEP,
            tried=f"download and unpack it below {cache_dir()}",
            got=str(error),
            hint="make room there (about 1 GB), or name another folder with XDG_CACHE_HOME",
        ) from None


def _key(component: Component, release: str, architecture: str) -> str:
    """What a release is kept under: the same wherever it came from, for its digest was compared."""
    pinned = read_table().pinned(component.name, release, architecture)
    return content_key(
        {
            "release": f"{component.name} {release} {architecture}",
            "digest": pinned.value if pinned is not None else "as published",
            "programs": " ".join(f"{member}:{where}" for member, where in sorted(component.programs.items())),
        }
    )


def _download(asking: httpx.Client, place: str, part: Path, digest: Digest, log: Log) -> None:
    log(f"fetching {address_of(place)}")
    big_file(asking, place, part, digest, log)
    log(f"its {digest.algorithm} is the one that {digest.source} says")


def _unpack(part: Path, folder: Path, component: Component, release: str, architecture: str) -> None:
    """The programs, and nothing else, whatever else the file holds."""
    usr = folder / "usr"
    missing = {named(member, release, architecture): usr / where for member, where in component.programs.items()}
    for where in missing.values():
        where.parent.mkdir(parents=True, exist_ok=True)
    if "" in missing:
        shutil.copyfile(part, missing[""])
        missing[""].chmod(0o755)
        return
    problem = None
    try:
        with tarfile.open(part, "r|gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.name in missing and member.isreg() else None
                if content is None:
                    continue
                program = missing.pop(member.name)
                with content, program.open("wb") as target:
                    shutil.copyfileobj(content, target, 1 << 20)
                program.chmod(0o755)
                if not missing:
                    return
    except (tarfile.TarError, EOFError) as error:
        problem = f"a tarball that can't be read: {error}"
    part.unlink()
    file = named(component.file, release, architecture)
    raise ClusterupError(
        f"{file} is not a complete release of {component.name}",
        step=STEP,
        tried=f"look for {', '.join(sorted(component.programs))}",
        got=problem or f"no regular file {', '.join(sorted(missing))}",
        hint="compare it with the project's own release; this one can't be used",
    )
