"""What is other in one bundle than in another: releases, packages, and faults of security that are gone with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bootstrap.image.bundle import Bundle
from bootstrap.image.contents.debian_version import DebianVersion
from bootstrap.image.contents.packages import ARTIFACT, Packages, packages_of
from bootstrap.image.contents.tracker import Tracker

# Of an artifact's components: how many packages there are is no release.
COUNT = "packages"


@dataclass(frozen=True, slots=True)
class Changed:
    """A release that is another one; empty where there is none. `fixes` are faults that are gone with it."""

    name: str
    old: str
    new: str
    fixes: tuple[str, ...] = ()

    @property
    def goes_back(self) -> bool:
        """Whether the new one is the older release."""
        return bool(self.old and self.new) and DebianVersion(self.new) < DebianVersion(self.old)


@dataclass(frozen=True, slots=True)
class Difference:
    """`parts` are artifacts with other releases in them, by name, `other_bytes` the names of those whose files are;
    `packages` is None where one of the bundles has no list of them. `open` are known faults of the new one's packages,
    by package, where a tracker's file was given."""

    old: str
    new: str
    parts: Mapping[str, tuple[Changed, ...]]
    other_bytes: tuple[str, ...]
    packages: tuple[Changed, ...] | None
    open: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def difference(old: Bundle, new: Bundle, tracker: Tracker | None = None) -> Difference:
    """What is other in the new one. Raises ClusterupError where a list of packages can't be read."""
    names = [*new.artifacts, *(name for name in old.artifacts if name not in new.artifacts)]
    parts = {name: changed for name in names if (changed := tuple(_components(old, new, name)))}
    before, after = packages_of(old), packages_of(new)
    both = before is not None and after is not None
    return Difference(
        old=old.version,
        new=new.version,
        parts=parts,
        other_bytes=tuple(
            name
            for name in names
            if name in old.artifacts
            and not name.endswith(ARTIFACT)
            and name in new.artifacts
            and old.artifacts[name].sha256 != new.artifacts[name].sha256
        ),
        packages=tuple(_packages(before or {}, after or {}, tracker)) if both else None,
        open=dict(_open(after or {}, tracker)) if tracker else {},
    )


def _components(old: Bundle, new: Bundle, name: str) -> Iterator[Changed]:
    before, after = (bundle.artifacts[name].components if name in bundle.artifacts else {} for bundle in (old, new))
    for component in sorted({*before, *after} - {COUNT}):
        if before.get(component) != after.get(component):
            yield Changed(component, before.get(component, ""), after.get(component, ""))


def _packages(old: Packages, new: Packages, tracker: Tracker | None) -> Iterator[Changed]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before is not None and after is not None and before.version != after.version:
            fixes = tuple(sorted(tracker.fixed_between(before, after))) if tracker else ()
            yield Changed(name, before.version, after.version, fixes)
        elif before is None or after is None:
            yield Changed(name, before.version if before else "", after.version if after else "")


def _open(packages: Packages, tracker: Tracker) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, package in sorted(packages.items()):
        if found := tuple(sorted(tracker.open_in(package))):
            yield name, found
