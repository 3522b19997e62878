"""From nothing to a bundle: the micro OS, the live environment, the payload, container images and the manifest."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.image.architecture import Architecture
from bootstrap.image.bundle import KUBECTL, Artifact, Bundle, Partition, Segment
from bootstrap.image.cache import cached, content_key
from bootstrap.image.containers import ContainerImage, build_containers
from bootstrap.image.contents.packages import ARTIFACT as PACKAGES
from bootstrap.image.contents.packages import FILE as PACKAGES_FILE
from bootstrap.image.contents.packages import list_packages
from bootstrap.image.disk.gpt import GptPartition
from bootstrap.image.disk.segments import pack
from bootstrap.image.files import bundle_as_data
from bootstrap.image.finding import bundles_dir, load_bundle
from bootstrap.image.manifest import write_manifest
from bootstrap.image.osimage import OsImages, build_os
from bootstrap.image.payload import Payload, build_payload
from bootstrap.image.sources import Source, check_source, programs_of
from bootstrap.image.trees import Log

# Whether the programs of a payload fit: their versions by name, what they tell of themselves, and the folder of
# Kubernetes' own.
Fits = Callable[[Mapping[str, str], Path, Path], None]
LEVEL = 9


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Kubernetes with all that belongs to it."""

    kubernetes: str
    payload: Payload
    kubectl: Path


@dataclass(frozen=True, slots=True)
class Made:
    """What machines of one architecture are made of: `packed` is the folder of the compressed disk image, `packages`
    the list of what is in it; the first of the `releases` is the one that nodes get where nothing else is said."""

    system: OsImages
    packed: Path
    packages: Path
    releases: tuple[Release, ...]
    containers: tuple[ContainerImage, ...]

    @property
    def architecture(self) -> str:
        return self.system.architecture.name

    @property
    def parts(self) -> dict[str, str]:
        """What the bundle is kept under: it changes with every part."""
        return {
            "os": self.system.version,
            "payload": " ".join(release.payload.file.parent.name for release in self.releases),
            "containers": self.containers[0].file.parent.name,
        }


def build_bundle(source: Source, architectures: Sequence[Architecture], log: Log, fits: Fits) -> Bundle:
    """The bundle for a source of Kubernetes and for machines of those architectures, of which the first is the bundle's
    own; what is built already is taken from the cache. It becomes the one that `find_bundle` finds. `fits` raises where
    what was built is not what nodes can be made of.

    Raises ClusterupError with the last lines of the tool that failed, BadUse for a source that is none.
    """
    check_source(source)
    everything = [_made(source, architecture, log, fits) for architecture in architectures]
    if len({tuple(release.kubernetes for release in made.releases) for made in everything}) > 1:
        raise ClusterupError(
            "the architectures would not get the same releases of Kubernetes",
            step="image build",
            got="; ".join(
                f"{made.architecture}: {', '.join(release.kubernetes for release in made.releases)}"
                for made in everything
            ),
            hint="name a source and releases that there are for all of them (--source, --version)",
        )
    key = content_key(
        {
            **{f"{name} {made.architecture}": part for made in everything for name, part in made.parts.items()},
            "architectures": " ".join(made.architecture for made in everything),
            "level": str(LEVEL),
            "layout": "kubectl beside the manifest, the image in segments, a list of packages",
        }
    )

    def assemble(folder: Path) -> None:
        log("putting the bundle together")
        _assemble(folder, everything)

    folder = cached("bundle", key, assemble)
    _make_current(folder)
    return load_bundle(folder)


def _made(source: Source, architecture: Architecture, log: Log, fits: Fits) -> Made:
    system = build_os(architecture, log)
    releases: dict[str, Release] = {}
    for wanted in source.versions or (None,):
        programs = programs_of(source.kind, wanted, architecture, log)
        payload = build_payload(programs, system, log)
        fits(payload.components, payload.told, programs.kubernetes)
        releases.setdefault(programs.release, Release(programs.release, payload, programs.kubernetes / "kubectl"))
    return Made(
        system=system,
        packed=_packed(system, log),
        packages=list_packages(system, log),
        releases=tuple(releases.values()),
        containers=build_containers(architecture, log),
    )


def _packed(system: OsImages, log: Log) -> Path:
    """The folder with the compressed disk image (`os.raw.zst`) and its segments (`segments.json`)."""

    def build(folder: Path) -> None:
        log("compressing the disk image")
        segments = pack(system.os, folder / "os.raw.zst", level=LEVEL)
        (folder / "segments.json").write_text(json.dumps([asdict(segment) for segment in segments]))

    key = content_key({"os": system.version, "level": str(LEVEL), "layout": "segments"})
    return cached("os-packed", key, build)


def _assemble(folder: Path, everything: Sequence[Made]) -> None:
    own = everything[0]
    artifacts = {part.name: part for made in everything for part in _artifacts(folder, made, _prefix(made, own))}
    write_manifest(Bundle(folder, own.system.version, artifacts, architecture=own.architecture))


def _prefix(made: Made, own: Made) -> str:
    """Before the names of what is made for another architecture than the bundle's own."""
    return "" if made is own else f"{made.architecture}/"


def _artifacts(folder: Path, made: Made, prefix: str) -> Iterator[Artifact]:
    system, place = made.system, folder / prefix
    (place / "images").mkdir(parents=True)
    for source, name in (
        (made.packed / "os.raw.zst", "os.raw.zst"),
        (system.live, "live.raw"),
        *((release.payload.file, f"payload{more}.raw") for release, more in _named(made.releases, "-")),
        *((release.kubectl, f"kubectl{more}") for release, more in _named(made.releases, "-")),
        *((image.file, f"images/{image.name}.tar") for image in made.containers),
        (made.packages, PACKAGES_FILE),
    ):
        _link(source, place / name)
    disk = bundle_as_data(f"{prefix}os", place / "os.raw.zst", partitions=_partitions(system.os_partitions))
    segments = json.loads((made.packed / "segments.json").read_text())
    yield replace(
        disk,
        raw_size=system.os.stat().st_size,
        segments=tuple(Segment(**found) for found in segments),
        components={"packages": str(len(system.packages)), "linux": _kernel(system)},
    )
    yield bundle_as_data(f"{prefix}{PACKAGES}", place / PACKAGES_FILE)
    yield bundle_as_data(f"{prefix}live", place / "live.raw", partitions=_partitions(system.live_partitions))
    for (release, more), (_, in_name) in zip(_named(made.releases, "-"), _named(made.releases, "/"), strict=True):
        components = release.payload.components
        yield bundle_as_data(f"{prefix}payload{in_name}", place / f"payload{more}.raw", components=components)
        # For the operator's machine, in the cluster's own version.
        kubectl = {"kubernetes": release.kubernetes}
        yield bundle_as_data(f"{prefix}{KUBECTL}{in_name}", place / f"kubectl{more}", components=kubectl)
    for image in made.containers:
        yield bundle_as_data(
            f"{prefix}image/{image.name}", place / f"images/{image.name}.tar", reference=image.reference
        )


def _named(releases: Sequence[Release], mark: str) -> Iterator[tuple[Release, str]]:
    """Each release with what its names end in: the first one's in nothing, the others' in their version."""
    for number, release in enumerate(releases):
        yield release, f"{mark}{release.kubernetes}" if number else ""


def _kernel(system: OsImages) -> str:
    versions = [version for name, version in system.packages.items() if re.fullmatch(r"linux-image-\d.*", name)]
    return versions[0] if versions else "unknown"


def _partitions(found: tuple[GptPartition, ...]) -> tuple[Partition, ...]:
    return tuple(Partition(part.label, part.offset, part.size) for part in found)


def _link(source: Path, target: Path) -> None:
    """The same file under another name, where the file system can do that; a copy elsewhere."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _make_current(folder: Path) -> None:
    link = bundles_dir() / ".current"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(bundles_dir() / "current")
