"""What is other in one bundle than in another: releases, packages, and faults of security that are gone with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bootstrap.image.bundle import Bundle
from bootstrap.image.contents.debian_version import DebianVersion
from bootstrap.image.contents.packages import Packages, is_list, packages_of
from bootstrap.image.contents.tracker import Tracker

# Of an artifact's components: how many packages there are is no release.
COUNT = "packages"
# What says which tree it is, and for which machine: no release either.
WITHOUT_RELEASES = ("lab/tools",)


@dataclass(frozen=True, slots=True)
class Changed:
    """A release that is another one; empty where there is none."""

    name: str
    old: str
    new: str

    @property
    def goes_back(self) -> bool:
        """Whether the new one is the older release."""
        return bool(self.old and self.new) and DebianVersion(self.new) < DebianVersion(self.old)


@dataclass(frozen=True, slots=True)
class Difference:
    """`parts` are artifacts with other releases in them, by name, `other_bytes` names of those that are other files,
    `added` and `removed` of those that one bundle alone has; `packages` is None where one of them has no list of
    these. Where a tracker's file was given: faults that are gone, and those of the new one, by source, and how many of
    the new one's packages are of a source that is not known."""

    old: str
    new: str
    parts: Mapping[str, tuple[Changed, ...]]
    other_bytes: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    packages: tuple[Changed, ...] | None
    fixed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: int = 0

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def difference(old: Bundle, new: Bundle, tracker: Tracker | None = None) -> Difference:
    """What is other in the new one. Raises ClusterupError where a list of packages can't be read."""
    both = [name for name in new.artifacts if name in old.artifacts and not is_list(name)]
    before, after = packages_of(old), packages_of(new)
    parts = {name: changed for name in both if (changed := tuple(_components(old, new, name)))}
    faults = _Faults.of(before or {}, after or {}, tracker)
    return Difference(
        old=old.version,
        new=new.version,
        parts=parts,
        other_bytes=tuple(name for name in both if old.artifacts[name].sha256 != new.artifacts[name].sha256),
        added=tuple(name for name in new.artifacts if name not in old.artifacts and not is_list(name)),
        removed=tuple(name for name in old.artifacts if name not in new.artifacts and not is_list(name)),
        packages=None if before is None or after is None else tuple(_packages(before, after)),
        fixed=faults.fixed,
        open=faults.open,
        unknown=sum(not package.source for package in (after or {}).values()) if tracker else 0,
    )


@dataclass(frozen=True, slots=True)
class _Faults:
    """By source: those of the old one that the new one has not, and those of the new one."""

    fixed: Mapping[str, tuple[str, ...]]
    open: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, old: Packages, new: Packages, tracker: Tracker | None) -> _Faults:
        if tracker is None:
            return cls({}, {})
        before, after = (
            {
                source: frozenset[str]().union(*(tracker.open_in(source, version) for version in versions))
                for source, versions in _sources(packages).items()
            }
            for packages in (old, new)
        )
        fixed = {source: tuple(sorted(before[source] - names)) for source, names in after.items() if source in before}
        return cls(
            {source: names for source, names in sorted(fixed.items()) if names},
            {source: tuple(sorted(names)) for source, names in sorted(after.items()) if names},
        )


def _sources(packages: Packages) -> dict[str, set[str]]:
    """The versions of each source that the packages are made of."""
    found: dict[str, set[str]] = {}
    for package in packages.values():
        if package.source:
            found.setdefault(package.source, set()).add(package.source_version)
    return found


def _components(old: Bundle, new: Bundle, name: str) -> Iterator[Changed]:
    if name in WITHOUT_RELEASES:
        return
    before, after = old.artifacts[name].components, new.artifacts[name].components
    for component in sorted({*before, *after} - {COUNT}):
        if before.get(component) != after.get(component):
            yield Changed(component, before.get(component, ""), after.get(component, ""))


def _packages(old: Packages, new: Packages) -> Iterator[Changed]:
    for name in sorted({*old, *new}):
        before, after = (found[name].version if name in found else "" for found in (old, new))
        if before != after:
            yield Changed(name, before, after)
