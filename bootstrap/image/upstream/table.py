"""The releases of Kubernetes that are supported, and the releases of other projects that belong to each: one data file,
`templates/releases.json`, which `scripts/add-release` changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from bootstrap.image.upstream.digests import Digest, digest_of
from bootstrap.image.versions import sorting_key
from bootstrap.paths import templates_dir

FORMAT = 1
NAME = "releases.json"


@dataclass(frozen=True)
class Table:
    """`components` maps minor versions of Kubernetes, as in "1.36", to the release of each component by its name;
    `sha256` maps "component release" and architecture ("amd64") to digests that were looked up when a row was made."""

    newest: str
    components: Mapping[str, Mapping[str, str]]
    sha256: Mapping[str, Mapping[str, str]]

    @property
    def minors(self) -> tuple[str, ...]:
        """The minor versions, the newest first."""
        return tuple(sorted(self.components, key=sorting_key, reverse=True))

    def pinned(self, component: str, release: str, architecture: str) -> Digest | None:
        """The digest that a file of a release has to have, None where none was looked up."""
        found = self.sha256.get(f"{component} {release}", {}).get(architecture)
        return None if found is None else digest_of("sha256", found, f"clusterup's own table ({NAME})")


@cache
def read_table() -> Table:
    """The table that came with this clusterup."""
    data = json.loads((templates_dir() / NAME).read_text())
    return Table(data["newest"], data["kubernetes"], data["sha256"])
