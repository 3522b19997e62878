"""What the digest of a release's file has to be, from another place than the file itself.

Where clusterup's own table has it, that counts. Else two places that different people and programs write have to say
the same: the project's own list, and what GitHub found when the file was put there; for Kubernetes, the changelog in
its repository. A mirror stands in for the list, and never for the second place: it would be asked about itself.
Source: https://docs.github.com/en/rest/releases/releases ("digest" of an asset)
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from bootstrap.errors import ClusterupError
from bootstrap.image.trees import Log
from bootstrap.image.upstream.components import Component, named
from bootstrap.image.upstream.digests import Digest, digest_in_list, digest_of
from bootstrap.image.upstream.download import small_file
from bootstrap.image.upstream.places import GITHUB_API, GITHUB_FILES, STEP, address_of, own_address
from bootstrap.image.upstream.table import read_table
from bootstrap.image.versions import minor_of

if TYPE_CHECKING:
    import httpx


def digest_for(asking: httpx.Client, component: Component, release: str, architecture: str, log: Log) -> Digest:
    """What the digest of a release's file has to be. Raises ClusterupError where that can't be found out, and where two
    places say different things."""
    pinned = read_table().pinned(component.name, release, architecture)
    return pinned if pinned is not None else published_digest(asking, component, release, architecture, log)


def published_digest(asking: httpx.Client, component: Component, release: str, architecture: str, log: Log) -> Digest:
    """As `digest_for`, whatever the table says."""
    listed = _listed(asking, component, release, architecture, log)
    elsewhere = _elsewhere(asking, component, release, architecture, log)
    if listed.value != elsewhere.value:
        raise ClusterupError(
            f"two places say different things of {component.name} {release}",
            step=STEP,
            tried=f"compare {listed.source} with {elsewhere.source}",
            got=f"{listed.value} and {elsewhere.value}",
            hint="don't trust either: one of them was changed",
        )
    log(f"{component.name} {release}: {listed.algorithm} as {listed.source} and {elsewhere.source} say")
    return listed


def _listed(asking: httpx.Client, component: Component, release: str, architecture: str, log: Log) -> Digest:
    address = address_of(component.place(component.sums, release, architecture))
    text = small_file(asking, address, log).decode(errors="replace")
    file, algorithm = named(component.file, release, architecture), _algorithm(component)
    found = digest_in_list(algorithm, text, file, address)
    if found is None:
        raise _says_nothing(address, f"a {algorithm} of {file}", text)
    return found


def _elsewhere(asking: httpx.Client, component: Component, release: str, architecture: str, log: Log) -> Digest:
    file = named(component.file, release, architecture)
    if component.repository is None:
        changes = f"CHANGELOG-{minor_of(release)}.md"
        address = own_address(f"{GITHUB_FILES}/kubernetes/kubernetes/master/CHANGELOG/{changes}")
        text = small_file(asking, address, log).decode(errors="replace")
        row = re.escape(f"/v{release}/{file})")
        line = re.search(row + r"\s*\|\s*`?([0-9a-fA-F]{128})\b", text)
        found = digest_of("sha512", line[1], address) if line is not None else None
    else:
        address = own_address(f"{GITHUB_API}/repos/{component.repository}/releases/tags/v{release}")
        text = small_file(asking, address, log).decode(errors="replace")
        found = digest_of("sha256", _digest_of_asset(text, file), address)
    if found is None:
        raise _says_nothing(address, f"a digest of {file}", text)
    return found


def _digest_of_asset(text: str, file: str) -> str:
    """What GitHub says of a file of a release; "" where it says nothing."""
    try:
        assets = json.loads(text)["assets"]
        said = {str(asset["name"]): str(asset.get("digest") or "") for asset in assets}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return ""
    return said.get(file, "").removeprefix("sha256:")


def _algorithm(component: Component) -> str:
    return "sha512" if component.sums.endswith(".sha512") else "sha256"


def _says_nothing(address: str, of_what: str, said: str) -> ClusterupError:
    return ClusterupError(
        f"{address} does not say {of_what}",
        step=STEP,
        tried=f"GET {address}",
        got=said[:100].strip() or "nothing",
        hint="a release that is new may not be there yet: use the one before it, or wait for a newer clusterup, whose "
        "table has it",
    )
