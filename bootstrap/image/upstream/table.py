"""The releases of Kubernetes that are supported, and the releases of other projects that belong to each: one data file,
`templates/releases.json`, which `scripts/add-release` changes.

The environment variable `CLUSTERUP_RELEASES` names a file of the same form, whose rows and digests are added: inside a
closed network, where nobody but the mirror can be asked for a digest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bootstrap.errors import BadUse
from bootstrap.image.upstream.digests import Digest, written_digest
from bootstrap.image.versions import sorting_key
from bootstrap.paths import expanded, templates_dir

FORMAT = 1
NAME = "releases.json"
VARIABLE = "CLUSTERUP_RELEASES"


@dataclass(frozen=True)
class Table:
    """`components` maps minor versions of Kubernetes, as in "1.36", to the release of each component by its name;
    `digests` maps "component release" and architecture ("amd64") to what was looked up when a row was made."""

    newest: str
    components: Mapping[str, Mapping[str, str]]
    digests: Mapping[str, Mapping[str, Digest]]

    @property
    def minors(self) -> tuple[str, ...]:
        """The minor versions, the newest first."""
        return tuple(sorted(self.components, key=sorting_key, reverse=True))

    def pinned(self, component: str, release: str, architecture: str) -> Digest | None:
        """The digest that a file of a release has to have, None where none was looked up."""
        return self.digests.get(f"{component} {release}", {}).get(architecture)


def read_table() -> Table:
    """The table that came with this clusterup, and what a person has added to it. Raises BadUse for a file that is no
    such table."""
    return _table(os.environ.get(VARIABLE) or None)


@cache
def _table(added: str | None) -> Table:
    own = table_in(templates_dir() / NAME, "clusterup's own table")
    if added is None:
        return own
    theirs = table_in(expanded(added), added)
    return Table(own.newest, {**own.components, **theirs.components}, {**theirs.digests, **own.digests})


def table_in(file: Path, source: str = "a table") -> Table:
    """What a file says; `source` is what its digests are called. Raises BadUse for a file that is no such table."""
    try:
        data: dict[str, Any] = json.loads(file.read_text())
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, {FORMAT} is known")
        digests = {
            str(name): {str(machine): written_digest(text, source) for machine, text in found.items()}
            for name, found in data.get("digests", {}).items()
        }
        rows = {
            str(minor): {str(name): str(release) for name, release in row.items()}
            for minor, row in data.get("kubernetes", {}).items()
        }
        return Table(str(data.get("newest", "")), rows, digests)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise BadUse(
            f"{file} is not a table of releases",
            step="image build",
            got=str(error),
            hint=f"write it as in templates/{NAME} of clusterup's sources, or unset {VARIABLE}",
        ) from None
