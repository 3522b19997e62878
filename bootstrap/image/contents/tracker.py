"""Which faults of security Debian has fixed: the file of its security tracker, as somebody has fetched it.

Source: https://security-tracker.debian.org/tracker/data/json
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.errors import BadUse
from bootstrap.image.contents.debian_version import DebianVersion
from bootstrap.image.osimage import SUITE
from bootstrap.outside import parsed_json


@dataclass(frozen=True, slots=True)
class Known:
    """A fault that is known: `fixed` is the first version of its source in which it is not there any more, empty where
    Debian has none yet."""

    name: str
    source: str
    fixed: str


@dataclass(frozen=True)
class Tracker:
    """Faults by the source of the packages that have them."""

    known: Mapping[str, tuple[Known, ...]]

    def open_in(self, source: str, version: str) -> frozenset[str]:
        """The names of those that a source has in that version."""
        own = DebianVersion(version)
        return frozenset(
            fault.name for fault in self.known.get(source, ()) if not fault.fixed or own < DebianVersion(fault.fixed)
        )


def read_tracker(file: Path) -> Tracker:
    """What the file says of Debian's release that nodes are made of. Raises BadUse for what is none."""
    try:
        said = parsed_json(file.read_bytes())
        return Tracker({str(source): tuple(_known(str(source), faults)) for source, faults in said.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadUse(
            f"{file} is not the file of Debian's security tracker",
            step="bundle",
            got=getattr(error, "strerror", None) or f"{type(error).__name__}: {error}",
            hint="it is https://security-tracker.debian.org/tracker/data/json, as it stands there",
        ) from None


def _known(source: str, faults: Mapping[str, Mapping[str, Any]]) -> Iterator[Known]:
    for name, fault in faults.items():
        release = fault.get("releases", {}).get(SUITE)
        # "0" is said of what was never in this release.
        if release is None or release.get("fixed_version") == "0":
            continue
        fixed = str(release["fixed_version"]) if release.get("status") == "resolved" else ""
        yield Known(str(name), source, fixed)
