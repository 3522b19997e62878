"""The list of Debian packages in a micro OS: an artifact of its bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.image.architecture import tools_for
from bootstrap.image.bundle import BUILD_HINT, Artifact, Bundle
from bootstrap.image.cache import cached, content_key
from bootstrap.image.files import verify_bundle
from bootstrap.image.osimage import SUITE, TOOLS, OsImages
from bootstrap.image.trees import Log, ensure_tree, run_in
from bootstrap.outside import parsed_json
from bootstrap.paths import cache_dir

ARTIFACT, FILE = "list/packages", "packages.json"
FORMAT = 1
# What a package is made of, out of its file: Source is there where it has another name or version.
# Source: deb-control(5)
RECIPE = """\
set -eu
find /packages -name '*.deb' | while read -r file; do
    dpkg-deb --field "$file" Package Version Source | sed 's/^/field /'
    echo end
done
"""
SIGNED, KERNEL = "linux-signed-", "linux"
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package: its version, and the source that it is made of, with that one's version; both empty where that
    is not known."""

    version: str
    source: str
    source_version: str


Packages = Mapping[str, Package]
"""Packages by name."""


def list_packages(system: OsImages, log: Log) -> Path:
    """The file with the list of a micro OS's packages. Raises ClusterupError where that can't be made."""

    def build(folder: Path) -> None:
        log("listing the packages of the micro OS")
        known = _sources(system, log)
        found = {name: known.get((name, version)) or Package(version, "", "") for name, version in wanted}
        said = {"format": FORMAT, "suite": SUITE, "packages": {name: asdict(each) for name, each in found.items()}}
        (folder / FILE).write_text(json.dumps(said, indent=1) + "\n")

    wanted = sorted(system.packages.items())
    key = content_key({"os": system.version, "architecture": system.architecture.name, "recipe": RECIPE})
    return cached("os-packages", key, build) / FILE


def _sources(system: OsImages, log: Log) -> dict[tuple[str, str], Package]:
    """The packages whose files the build has kept, by name and version."""
    kept = cache_dir() / f"debian-packages-{system.architecture.name}"
    if not kept.is_dir():
        return {}
    tree = ensure_tree("image", SUITE, tools_for(system.architecture, TOOLS), log=log)
    said = run_in(tree, ["sh", "-c", RECIPE], binds={kept: "/packages"}, log=lambda _: None, what="listing packages")
    return dict(map(_package, said.split("\nend")))


def _package(fields: str) -> tuple[tuple[str, str], Package]:
    found = dict(re.findall(r"^field (\w+): (.*)$", fields, re.MULTILINE))
    name, version = found.get("Package", ""), found.get("Version", "")
    source = _SOURCE.match(found.get("Source", "")) or _SOURCE.match(name)
    if source is None:
        return (name, version), Package(version, "", "")
    if source[1].startswith(SIGNED):
        # A kernel that is signed is built a second time, of what the first source made; that is where faults are told.
        return (name, version), Package(version, KERNEL, version)
    return (name, version), Package(version, source[1], source[2] or version)


def packages_of(bundle: Bundle) -> Packages | None:
    """The packages of a bundle's micro OS, those for another architecture with its name before their own; None where an
    earlier clusterup made it, which kept no list. Raises ClusterupError for a list that can't be read."""
    lists = {name.removesuffix(ARTIFACT): part for name, part in bundle.artifacts.items() if is_list(name)}
    verify_bundle(bundle, [part.name for part in lists.values()])
    found = {f"{prefix}{name}": package for prefix, part in lists.items() for name, package in _read(part).items()}
    return found if lists else None


def is_list(artifact: str) -> bool:
    """Whether that is the name of a list of packages."""
    return artifact == ARTIFACT or artifact.endswith(f"/{ARTIFACT}")


def _read(listed: Artifact) -> Packages:
    try:
        with listed.content.open() as file:
            said = parsed_json(file.read())
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']}, {FORMAT} is known")
        return {
            str(name): Package(str(each["version"]), str(each["source"]), str(each["source_version"]))
            for name, each in said["packages"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterupError(
            "the bundle's list of packages can't be read",
            step="bundle",
            tried=f"read {listed.content.name}",
            got=f"{type(error).__name__}: {error}",
            hint=f"the bundle is damaged, or made by a newer clusterup; {BUILD_HINT}",
        ) from None
