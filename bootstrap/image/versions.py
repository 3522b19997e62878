"""The versions that decide how a node is configured: flags and formats come and go with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# What a payload holds that does not say it: the first that was made.
FIRST_CONTAINERD = (1, 7)


@dataclass(frozen=True, slots=True)
class Versions:
    """`minor` is that of Kubernetes, 20 for 1.20.2; `containerd` is major and minor, (1, 7) for 1.7.24; `unbound` and
    `quota` are whether there is one: payloads that an earlier clusterup made have none."""

    minor: int
    containerd: tuple[int, int] = FIRST_CONTAINERD
    unbound: bool = True
    quota: bool = True


def versions_of(components: Mapping[str, str]) -> Versions:
    """The versions in a payload's components, by name. Raises KeyError where Kubernetes is none of them, ValueError
    where a version is none."""
    _, minor = numbers(components["kubernetes"])
    containerd = components.get("containerd")
    return Versions(
        minor,
        FIRST_CONTAINERD if containerd is None else numbers(containerd),
        unbound="unbound" in components,
        quota="quota" in components,
    )


def is_of(found: str, wanted: str) -> bool:
    """Whether a release is the one that is wanted: itself, or any of the minor version."""
    return found == wanted or (wanted.count(".") == 1 and found.startswith(f"{wanted}."))


def minor_of(release: str) -> str:
    """The minor version of a release: "1.36" for 1.36.2, and for itself."""
    return ".".join(release.split(".")[:2])


def sorting_key(release: str) -> tuple[tuple[int, ...], bool, str]:
    """What releases are sorted by, the oldest first: 1.36.0-rc.1 is older than 1.36.0, and 1.36.2 than 1.36.10."""
    plain, _, before = release.partition("-")
    return tuple(int(part) for part in re.findall(r"\d+", plain)), not before, before


def numbers(version: str) -> tuple[int, int]:
    """Major and minor of a version: (1, 36) for "1.36.2" and "v1.36". Raises ValueError for what is none."""
    found = re.match(r"v?(\d+)\.(\d+)", version, re.ASCII)
    if found is None:
        raise ValueError(f"{version!r} is not a version")
    return int(found[1]), int(found[2])
