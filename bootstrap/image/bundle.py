"""A bundle: the folder with everything an installation needs, and the manifest that says what is in it.

The manifest (`manifest.json`, format 1, described in docs/image.md) names every file with its size and
SHA-256. Reading it is cheap; `verify_bundle` reads the files themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from bootstrap.content import Content
from bootstrap.errors import ClusterupError, Refused
from bootstrap.image.architecture import AMD64, ARCHITECTURES
from bootstrap.image.versions import Versions, is_of, sorting_key, versions_of
from bootstrap.protocol.signed_bundle import SignedManifest

FORMAT = 1
# Of a bundle of another architecture than amd64, which those who knew of amd64 alone would take for that.
OTHERS_FORMAT = 2
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
KUBECTL = "tool/kubectl"
# Of segments: what nodes write with is a multiple of it.
ALIGNMENT = 1 << 20
BUILD_HINT = "make one with: clusterup image build"


class NoBundle(ClusterupError):
    """Where a bundle should be, there is none."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition inside a disk image; `offset` and `size` in bytes from the start of the unpacked image."""

    label: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a disk image with data in it: `offset`, `size` and `sha256` are those of the unpacked data,
    `packed_offset` and `packed_size` those of its zstd frame in the file. Sizes in bytes."""

    offset: int
    size: int
    sha256: str
    packed_offset: int
    packed_size: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a bundle, with its size in bytes and its SHA-256 in hexadecimal.

    `raw_size` is that of the unpacked contents, where the file is compressed, and `segments` are where its data is.
    `components` are versions by name; `reference` is the name of a container image. In a bundle that is one file,
    `file` is that file, and the artifact begins there at the offset `begins`, under the name `inside`.
    """

    name: str
    file: Path
    size: int
    sha256: str
    raw_size: int | None = None
    segments: tuple[Segment, ...] = ()
    partitions: tuple[Partition, ...] = ()
    components: dict[str, str] = field(default_factory=dict)
    reference: str | None = None
    begins: int = 0
    inside: str = ""

    @property
    def content(self) -> Content:
        """Its bytes."""
        return Content(self.file, self.begins, self.size if self.inside else None, self.inside)

    def partition(self, label: str) -> Partition:
        """The partition with that label. Raises ClusterupError where the image has none."""
        for partition in self.partitions:
            if partition.label == label:
                return partition
        raise ClusterupError(
            f"the bundle's image {self.content.name} has no partition {label}",
            got=", ".join(partition.label for partition in self.partitions) or "no partition at all",
            hint=f"the bundle is damaged or made by another version; {BUILD_HINT}",
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """What `directory`, a folder or a file, holds: the operating system's `version`, and artifacts by name ("os",
    "image/pause"). `signed` is the whole manifest as somebody signed it; whether that is right is not known here. What
    is for machines of another `architecture` has its name before its own ("arm64/os")."""

    directory: Path
    version: str
    artifacts: dict[str, Artifact]
    signed: SignedManifest | None = None
    architecture: str = AMD64.name

    def artifact(self, name: str) -> Artifact:
        """The artifact of that name. Raises ClusterupError where the bundle has none."""
        if name not in self.artifacts:
            raise ClusterupError(
                f"the bundle has no artifact {name}",
                tried=str(self.directory / MANIFEST),
                got=", ".join(sorted(self.artifacts)) or "an empty list",
                hint=BUILD_HINT,
            )
        return self.artifacts[name]

    @property
    def kubernetes_version(self) -> str:
        """The release of Kubernetes in the payload, as in "1.20.2". Raises ClusterupError where there is no payload."""
        return self.artifact("payload").components["kubernetes"].removeprefix("v")

    @property
    def versions(self) -> Versions:
        """What decides how nodes are configured. Raises ClusterupError where there is no payload, KeyError and
        ValueError where it does not say its versions."""
        return versions_of(self.artifact("payload").components)

    @property
    def releases(self) -> dict[str, str]:
        """The releases of Kubernetes in it, and the name of the payload of each, the newest first."""
        return self._releases("")

    def _releases(self, prefix: str) -> dict[str, str]:
        found = {
            part.components["kubernetes"].removeprefix("v"): name
            for name, part in self.artifacts.items()
            if name.startswith(prefix)
            and name.removeprefix(prefix).partition("/")[0] == "payload"
            and "kubernetes" in part.components
        }
        return {release: found[release] for release in sorted(found, key=sorting_key, reverse=True)}

    def of_release(self, wanted: str | None) -> Bundle:
        """The bundle with the payload of that release, or of the newest one of that minor version, as its own, for each
        of its architectures. It stays as it is where none is wanted, and where it has none of them: whoever uses it
        says so."""
        chosen = self
        for prefix in ("", *(f"{name}/" for name in self.architectures[1:])):
            fitting = [name for release, name in self._releases(prefix).items() if wanted and is_of(release, wanted)]
            chosen = chosen._with(prefix, fitting[0]) if fitting else chosen
        return chosen

    def with_payload(self, sha256: str) -> Bundle:
        """The bundle with the payload of that SHA-256 as its own; as it is where it has none."""
        fitting = [release for release, name in self.releases.items() if self.artifacts[name].sha256 == sha256]
        return self.of_release(fitting[0]) if fitting else self

    def _with(self, prefix: str, payload: str) -> Bundle:
        own = f"{prefix}payload"
        if payload == own:
            return self
        release = self.artifacts[own].components["kubernetes"].removeprefix("v")
        tool, own_tool = payload.replace("payload", KUBECTL, 1), f"{prefix}{KUBECTL}"
        # Those that were its own stay in it, under the names that they would have had beside the other.
        put = [(name, f"{name}/{release}") for name in (own, own_tool)]
        put += [(payload, own), (tool, own_tool)]
        chosen = {new: replace(self.artifacts[old], name=new) for old, new in put if old in self.artifacts}
        return replace(self, artifacts={**self.artifacts, **chosen})

    @property
    def architectures(self) -> tuple[str, ...]:
        """Of which machines can be made out of it, its own first."""
        others = {name for name in ARCHITECTURES if {f"{name}/os", f"{name}/payload"} & self.artifacts.keys()}
        return (self.architecture, *sorted(others - {self.architecture}))

    def for_architecture(self, wanted: str | None) -> Bundle:
        """What of it is for machines of that architecture, its own where none is wanted. The parts keep the names that
        they have in the whole. Raises Refused where it has nothing for them."""
        if wanted is None or wanted == self.architecture:
            return self
        prefix = f"{wanted}/"
        found = {name.removeprefix(prefix): part for name, part in self.artifacts.items() if name.startswith(prefix)}
        if wanted not in self.architectures:
            raise Refused(
                f"the bundle has nothing for {wanted} machines",
                tried=f"look into the bundle in {self.directory}",
                got=f"it is for {' and '.join(self.architectures)}",
                hint="make one for all of them: clusterup image build "
                + " ".join(f"--arch {name}" for name in (*self.architectures, wanted))
                + "; or name the one that the cluster is made of (os.bundle)",
            )
        return replace(self, artifacts=found, architecture=wanted)

    @property
    def for_nodes(self) -> Bundle:
        """The part of it that nodes are made of: the disk image, the payload and the container images."""
        prefixes = "|".join(f"{name}/" for name in self.architectures[1:])
        wanted = re.compile(f"({prefixes})?(os|payload|image/.*)")
        return replace(self, artifacts={name: part for name, part in self.artifacts.items() if wanted.fullmatch(name)})

    @property
    def images(self) -> tuple[Artifact, ...]:
        """The container images, ordered by name."""
        return tuple(self.artifacts[name] for name in sorted(self.artifacts) if name.startswith("image/"))
