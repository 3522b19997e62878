"""A new row of the table of releases: looked up, and written as the table is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bootstrap.errors import BadUse
from bootstrap.image.trees import Log
from bootstrap.image.upstream.checksums import published_digest
from bootstrap.image.upstream.components import COMPONENTS
from bootstrap.image.upstream.download import client
from bootstrap.image.upstream.fetch import SERVER, release_of
from bootstrap.image.upstream.table import FORMAT
from bootstrap.image.versions import minor_of, sorting_key

ARCHITECTURES = ("amd64", "arm64")


def with_release(table: Mapping[str, Any], wanted: str, components: Mapping[str, str], log: Log) -> dict[str, Any]:
    """The table with a row for a release, and with the digests of all that belongs to it. Raises ClusterupError."""
    release = release_of(wanted, log)
    rows: dict[str, dict[str, str]] = dict(table.get("kubernetes", {}))
    before = rows.get(minor_of(release)) or (rows[max(rows, key=sorting_key)] if rows else {})
    row = {**before, **components}
    if missing := sorted(set(COMPONENTS) - set(row)):
        raise BadUse(
            "it is not said which release of each component belongs to it",
            step="add-release",
            got=f"missing: {', '.join(missing)}",
            hint=f"name them, as in {missing[0]}=1.2.3",
        )
    rows[minor_of(release)] = dict(sorted(row.items()))
    digests: dict[str, dict[str, str]] = dict(table.get("digests", {}))
    with client() as asking:
        for component, found in ((SERVER, release), *((COMPONENTS[name], row[name]) for name in sorted(COMPONENTS))):
            for architecture in ARCHITECTURES:
                digest = published_digest(asking, component, found, architecture, log)
                known = digests.setdefault(f"{component.name} {found}", {})
                known[architecture] = f"{digest.algorithm}:{digest.value}"
    used = {f"{name} {found}" for each in rows.values() for name, found in each.items()}
    kept = {name: found for name, found in digests.items() if name in used or name.startswith(f"{SERVER.name} ")}
    return {
        "format": FORMAT,
        "newest": table.get("newest", minor_of(release)),
        "kubernetes": {minor: rows[minor] for minor in sorted(rows, key=sorting_key)},
        "digests": dict(sorted(kept.items())),
    }


def text_of(table: Mapping[str, Any]) -> str:
    """The table as it is written: a line for each row, and for each digest."""
    rows = ",\n".join(f"  {json.dumps(minor)}: {json.dumps(row)}" for minor, row in table["kubernetes"].items())
    digests = json.dumps(table["digests"], indent=1).replace("\n", "\n ")
    newest = json.dumps(table["newest"])
    return (
        f'{{\n "format": {FORMAT},\n "newest": {newest},\n "kubernetes": {{\n{rows}\n }},\n "digests": {digests}\n}}\n'
    )
